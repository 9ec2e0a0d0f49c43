"""Patches: changes to a thread's state; applying them does what the reference does."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from treadle.core.codec import Json, SortedModel, copy_json
from treadle.errors import PatchError, shorten

Index = Annotated[int, Meta(ge=0)]
"""A position in an array, from 0."""

Path = tuple[str | Index, ...]
"""Keys of objects and indexes of arrays, from the root inwards; the empty path is the root."""


class Set(SortedModel, frozen=True, tag_field="op", tag="set"):
    """Put `value` at `path`; objects on the way are created, whatever was there."""

    path: Path
    value: Json


class Delete(SortedModel, frozen=True, tag_field="op", tag="delete"):
    """Remove the value at `path`; it is no error if there is none."""

    path: Path


class Append(SortedModel, frozen=True, tag_field="op", tag="append"):
    """Add `value` at the end of the array at `path`, which is created if missing."""

    path: Path
    value: Json


class MergeObject(SortedModel, frozen=True, tag_field="op", tag="merge_object"):
    """Put each key of `value` into the object at `path`, which is created if missing."""

    path: Path
    value: Json


class Increment(SortedModel, frozen=True, tag_field="op", tag="increment"):
    """Add `amount` to the number at `path`; it does not fit if there is none."""

    path: Path
    amount: int | float


class Decrement(SortedModel, frozen=True, tag_field="op", tag="decrement"):
    """Subtract `amount` from the number at `path`; it does not fit if there is none."""

    path: Path
    amount: int | float


class Insert(SortedModel, frozen=True, tag_field="op", tag="insert"):
    """Put `value` before position `index` of the array at `path`, which must be there."""

    path: Path
    index: Index
    value: Json


class Remove(SortedModel, frozen=True, tag_field="op", tag="remove"):
    """Remove the first item that equals `value` from the array at `path`, which must be there."""

    path: Path
    value: Json


class LatticeMerge(SortedModel, frozen=True, tag_field="op", tag="lattice_merge"):
    """Join `value` into a lattice; without a registered one it is a `set`, as in the reference."""

    path: Path
    value: Json


Op: TypeAlias = (
    Set | Delete | Append | MergeObject | Increment | Decrement | Insert | Remove | LatticeMerge
)
"""A change at one path of the state."""


class Patch(SortedModel, frozen=True):
    """Operations that are applied in order, all or none."""

    ops: tuple[Op, ...]


class TrackedPatch(SortedModel, frozen=True, kw_only=True):
    """A patch, with where it came from; `timestamp` is in unix milliseconds."""

    patch: Patch
    id: str | None = None
    timestamp: int | None = None
    source: str | None = None
    description: str | None = None


def track(
    *ops: Op,
    id: str | None = None,
    timestamp: int | None = None,
    source: str | None = None,
    description: str | None = None,
) -> TrackedPatch:
    """Make a patch of operations, with where it came from; `timestamp` is in unix milliseconds."""
    return TrackedPatch(
        patch=Patch(ops),
        id=id,
        timestamp=timestamp,
        source=source,
        description=description,
    )


def apply_patch(document: Json, patch: Patch) -> Json:
    """Return the document after `patch`; the given one stays as it is.

    Raises:
        PatchError: an operation does not fit the document; the message is the reference's.
    """
    return apply_patches(document, (patch,))


def apply_patches(document: Json, patches: Iterable[Patch]) -> Json:
    """Return the document after all `patches`, in order; the given one stays as it is.

    Raises:
        PatchError: as for `apply_patch`.
    """
    root: list[Json] = [copy_json(document)]
    for patch in patches:
        for op in patch.ops:
            _apply(root, op)
    return root[0]


_Container: TypeAlias = Json
"""A dict or a list; the type of the segment that indexes it tells which."""


def _apply(root: list[Json], op: Op) -> None:
    match op:
        case Set() | LatticeMerge():
            container, key = _open(root, op.path, errors_at=op.path)
            container[key] = copy_json(op.value)
        case Delete():
            _delete(root, op.path)
        case Append():
            _append(root, op)
        case MergeObject():
            _merge(root, op)
        case Increment():
            _add(root, op.path, op.amount, "increment", 1)
        case Decrement():
            _add(root, op.path, op.amount, "decrement", -1)
        case Insert():
            items = _array(root, op.path)
            if op.index > len(items):
                raise _out_of_bounds(op.path, op.index, len(items))
            items.insert(op.index, copy_json(op.value))
        case Remove():
            items = _array(root, op.path)
            position = next((i for i, item in enumerate(items) if _equal(item, op.value)), None)
            if position is not None:
                del items[position]


def _append(root: list[Json], op: Append) -> None:
    container, key = _open(root, op.path)
    if container[key] is None:
        container[key] = []
    target = container[key]
    if not isinstance(target, list):
        raise _failure("append requires array value at {path}", op.path)
    target.append(copy_json(op.value))


def _merge(root: list[Json], op: MergeObject) -> None:
    if not isinstance(op.value, dict):
        raise _failure("merge requires object value at {path}", op.path)
    container, key = _open(root, op.path)
    if container[key] is None:
        container[key] = {}
    target = container[key]
    if not isinstance(target, dict):
        raise _failure("merge requires object value at {path}", op.path)
    target.update(copy_json(op.value))


def _add(
    root: list[Json],
    path: Path,
    amount: int | float,
    name: Literal["increment", "decrement"],
    sign: Literal[1, -1],
) -> None:
    container, key = _existing(root, path)
    value = container[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _failure("numeric operation requires number at {path}", path)
    if isinstance(value, int) and value < 2**63 and isinstance(amount, int):
        result: int | float = value + sign * amount
        if not -(2**63) <= result < 2**63:
            operator = "+" if sign == 1 else "-"
            detail = f"{{path}}: {shorten(value)} {operator} {shorten(amount)}"
            raise _failure(f"invalid operation: {name} overflow at {detail}", path)
    else:
        result = _as_float(value) + sign * _as_float(amount)
        if not math.isfinite(result):
            raise _failure(f"invalid operation: {name} produced non-finite value at {{path}}", path)
    container[key] = result


def _as_float(number: int | float) -> float:
    """The number as a float; infinite if it is an integer beyond all floats."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _delete(root: list[Json], path: Path) -> None:
    if not path:
        root[0] = None
        return
    parent = _find(root, path[:-1])
    if parent is None:
        return
    target = parent[0][parent[1]]
    last = path[-1]
    if _holds(target, last):
        del target[last]


def _array(root: list[Json], path: Path) -> list[Json]:
    container, key = _existing(root, path)
    target = container[key]
    if not isinstance(target, list):
        raise _mismatch(path, target)
    return target


def _existing(root: list[Json], path: Path) -> tuple[_Container, str | int]:
    found = _find(root, path)
    if found is None:
        raise _failure("path not found: {path}", path)
    return found


def _find(root: list[Json], path: Path) -> tuple[_Container, str | int] | None:
    """The container and key that hold the value at `path`, or None."""
    container: Json = root
    key: str | int = 0
    for segment in path:
        target = container[key]
        if not _holds(target, segment):
            return None
        container, key = target, segment
    return container, key


def _open(
    root: list[Json], path: Path, errors_at: Path | None = None
) -> tuple[_Container, str | int]:
    """Like `_find`, but create the objects on the way; arrays must exist.

    `set` reports failures at its whole path, the others at the segment that failed.
    """
    container: Json = root
    key: str | int = 0
    for position, segment in enumerate(path):
        target = container[key]
        failed_at = path[: position + 1] if errors_at is None else errors_at
        if isinstance(segment, str):
            if not isinstance(target, dict):
                target = container[key] = {}
            target.setdefault(segment, None)
        elif not isinstance(target, list):
            raise _mismatch(failed_at, target)
        elif segment >= len(target):
            raise _out_of_bounds(failed_at, segment, len(target))
        container, key = target, segment
    return container, key


def _holds(target: Json, segment: str | int) -> bool:
    if isinstance(segment, str):
        return isinstance(target, dict) and segment in target
    return isinstance(target, list) and segment < len(target)


def _equal(left: Json, right: Json) -> bool:
    """JSON equality as the reference has it: 1, 1.0 and true are three different values."""
    if type(left) is not type(right):
        return False
    match left:
        case list():
            return len(left) == len(right) and all(map(_equal, left, right))
        case dict():
            return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
        case _:
            return bool(left == right)


def _failure(message: str, path: Path) -> PatchError:
    where = "$" + "".join(f"[{shorten(s)}]" if isinstance(s, int) else f".{s}" for s in path)
    return PatchError(where, message.format(path=where))


def _mismatch(path: Path, found: Json) -> PatchError:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    name = names.get(type(found), "number")
    return _failure(f"type mismatch at {{path}}: expected array, found {name}", path)


def _out_of_bounds(path: Path, index: int, length: int) -> PatchError:
    return _failure(f"index {shorten(index)} out of bounds (len: {length}) at path {{path}}", path)
