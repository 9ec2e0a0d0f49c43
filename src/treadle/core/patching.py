"""Applying patches to a document does what tirea does, within a limit of work.

A few bytes of a patch can ask for a search through a whole array, or for moving all its items. Such
work is therefore counted, in comparisons of two numbers, and refused if it is too much. It is done
in slices, between which an event loop can do something else.
"""

import math
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from treadle.core.codec import Json
from treadle.core.json_patch import Edits
from treadle.core.limits import PATCH_WORK, PATH
from treadle.core.patches import (
    Append,
    Decrement,
    Delete,
    Increment,
    Insert,
    LatticeMerge,
    MergeObject,
    Patch,
    Path,
    Remove,
    Set,
)
from treadle.errors import PatchError, shorten

SLICE = 200_000
"""The work of a slice, in comparisons: some 2 to 4 ms."""

_OP = 50
"""The fixed cost of an operation, in comparisons."""
_VISIT = 16
"""The cost of looking at a value in Python, in comparisons."""
_MOVED = 16
"""How many items are moved in the time of a comparison."""
_CHARACTERS = 64
"""How many characters of two texts are compared in the time of a comparison."""
_VISITED = _CHARACTERS * _VISIT
"""How many characters are compared in the time that it takes to look at a value in Python."""
_PART = 4
"""The cost of one part of an item when the list itself compares the item, in comparisons."""
_WIDE = 16
"""The list itself compares values with at most so many parts. With more, it is cheaper to stop at
the first part that differs."""
_WHERE = 1_000
"""Longest path in a message, in characters."""


def apply_patch(document: Json, patch: Patch) -> Json:
    """Return the document after `patch`; the given one stays as it is.

    Raises:
        PatchError: an operation does not fit the document, and the message is tirea's; or
            the patch takes too much work: see `apply_patches`.
    """
    return apply_patches(document, (patch,))


def apply_patches(document: Json, patches: Iterable[Patch]) -> Json:
    """Return the document after all `patches`, in order; the given one stays as it is.

    It takes time in proportion to the document and the patches, and at most about two seconds
    more: to find what is removed from arrays, and to move the items after it.

    Raises:
        PatchError: as for `apply_patch`. All patches together may compare 100,000,000 numbers or
            short texts, or some millions of objects, to find what is removed, or move 16 times as
            many items. A path along which objects are created has at most 100 segments.
    """
    return completed(apply_in_slices(document, patches))


def apply_in_slices(
    document: Json,
    patches: Iterable[Patch],
    *,
    owned: bool = False,
    edits: Edits | None = None,
) -> Generator[None, None, Json]:
    """Do what `apply_patches` does, and yield after each slice of the work.

    Args:
        document: the document.
        patches: the patches.
        owned: the caller gives the document away, so it is changed and not copied.
        edits: gets what the operations are in JSON Patch.
    """
    work = _Work()
    root: list[Json] = [document if owned else _copied(document, ())]
    for patch in patches:
        for op in patch.ops:
            if edits is not None:
                edits.before(root[0], op)
            if isinstance(op, Remove):
                position = yield from _remove(root, op, work)
                if edits is not None and position is not None:
                    edits.removed(op.path, position)
            else:
                _apply(root, op, work)
            if edits is not None and isinstance(op, Increment | Decrement):
                container, key = _existing(root, op.path)
                edits.replaced(op.path, container[key])
            work.since_slice += _OP + len(op.path)
            if work.since_slice >= SLICE:
                work.since_slice = 0
                yield
    return root[0]


def completed(slices: Generator[None, None, Json]) -> Json:
    """Return what all slices together give, without a pause."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


class _Work:
    """The work that is not in proportion to the size of the document and of the patches."""

    def __init__(self) -> None:
        self._done = 0
        self.since_slice = 0

    def add(self, comparisons: int, path: Path) -> None:
        """Count work of the operation at `path`; refuse it if all together is too much."""
        self._done += comparisons
        self.since_slice += comparisons
        if self._done <= PATCH_WORK:
            return
        where = _where(path)
        message = (
            f"the patches search and move too much in arrays, more than {PATCH_WORK:,} items, and"
            f" reach this limit at {where}; set the array as a whole instead"
        )
        raise PatchError(where, message)

    def move(self, items: int, path: Path) -> None:
        """Count items of an array that move."""
        self.add(items // _MOVED, path)


_Container: TypeAlias = Json
"""A dict or a list; the type of the segment that indexes it tells which."""


_AtOnce: TypeAlias = (
    Set | Delete | Append | MergeObject | Increment | Decrement | Insert | LatticeMerge
)
"""The operations that are not done in slices."""


def _apply(root: list[Json], op: _AtOnce, work: _Work) -> None:
    match op:
        case Set() | LatticeMerge():
            container, key = _open(root, op.path, errors_at=op.path)
            container[key] = _copied(op.value, op.path)
        case Delete():
            _delete(root, op.path, work)
        case Append():
            _append(root, op)
        case MergeObject():
            _merge(root, op)
        case Increment():
            _add(root, op.path, op.amount, "increment", 1)
        case Decrement():
            _add(root, op.path, op.amount, "decrement", -1)
        case Insert():
            _insert(root, op, work)


def _append(root: list[Json], op: Append) -> None:
    container, key = _open(root, op.path)
    if container[key] is None:
        container[key] = []
    target = container[key]
    if not isinstance(target, list):
        raise _failure("append requires array value at {path}", op.path)
    target.append(_copied(op.value, op.path))


def _merge(root: list[Json], op: MergeObject) -> None:
    if not isinstance(op.value, dict):
        raise _failure("merge requires object value at {path}", op.path)
    container, key = _open(root, op.path)
    if container[key] is None:
        container[key] = {}
    target = container[key]
    if not isinstance(target, dict):
        raise _failure("merge requires object value at {path}", op.path)
    target.update(_copied(op.value, op.path))


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


def _insert(root: list[Json], op: Insert, work: _Work) -> None:
    items = _array(root, op.path)
    if op.index > len(items):
        raise _out_of_bounds(op.path, op.index, len(items))
    work.move(len(items) - op.index, op.path)
    items.insert(op.index, _copied(op.value, op.path))


def _remove(root: list[Json], op: Remove, work: _Work) -> Generator[None, None, int | None]:
    """Remove the first item that equals the value, and return its position, if there is one."""
    items = _array(root, op.path)
    cost = _cost_at_once(op.value)
    if cost is None:
        position = yield from _find_nested(items, op.value, op.path, work)
    else:
        position = yield from _find_flat(items, op.value, op.path, work, cost)
    if position is not None:
        work.move(len(items) - position, op.path)
        del items[position]
    return position


def _cost_at_once(value: Json) -> int | None:
    """The most that it costs to compare an item with a value, if the value is small and flat."""
    if not isinstance(value, list | dict):
        return 1 + _cost_of_text(value)
    if len(value) > _WIDE:
        return None
    parts: list[Json] = [*value, *value.values()] if isinstance(value, dict) else value
    if any(isinstance(part, list | dict) for part in parts):
        return None
    return _PART * (1 + len(parts)) + sum(map(_cost_of_text, parts))


def _cost_of_text(value: Json) -> int:
    return len(value) // _CHARACTERS if isinstance(value, str) else 0


def _find_flat(
    items: list[Json], value: Json, path: Path, work: _Work, cost: int
) -> Generator[None, None, int | None]:
    """The position of the first item that equals a value; the list itself searches for it."""
    step = max(SLICE // cost, 1)
    start = 0
    while start < len(items):
        stop = min(start + step, len(items))
        try:
            position = items.index(value, start, stop)
        except ValueError:
            work.add((stop - start) * cost, path)
            start = stop
        else:
            is_equal, visits = _compare(items[position], value)  # 1 equals 1.0 for the list
            work.add((position - start) * cost + (2 + visits) * _VISIT, path)
            if is_equal:
                return position
            start = position + 1
        if work.since_slice >= SLICE:
            work.since_slice = 0
            yield
    return None


def _find_nested(
    items: list[Json], value: Json, path: Path, work: _Work
) -> Generator[None, None, int | None]:
    """The same for any object or array; Python compares it with each item, value by value."""
    kind, length = type(value), len(value)
    for position, item in enumerate(items):
        visits = 0
        if type(item) is kind and len(item) == length:
            is_equal, visits = _compare(item, value)
            visits += 1
            if is_equal:
                work.add(visits * _VISIT, path)
                return position
        work.add(_PART + visits * _VISIT, path)
        if work.since_slice >= SLICE:
            work.since_slice = 0
            yield
    return None


def _delete(root: list[Json], path: Path, work: _Work) -> None:
    if not path:
        root[0] = None
        return
    parent = _find(root, path[:-1])
    if parent is None:
        return
    target = parent[0][parent[1]]
    last = path[-1]
    if not _holds(target, last):
        return
    if isinstance(last, int):
        work.move(len(target) - last, path)
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
    if len(path) > PATH:
        raise _failure(f"the path {{path}} has more than {PATH} segments", path)
    container: Json = root
    key: str | int = 0
    for position, segment in enumerate(path):
        target = container[key]
        if isinstance(segment, str):
            if not isinstance(target, dict):
                target = container[key] = {}
            target.setdefault(segment, None)
        elif not isinstance(target, list):
            raise _mismatch(errors_at or path[: position + 1], target)
        elif segment >= len(target):
            raise _out_of_bounds(errors_at or path[: position + 1], segment, len(target))
        container, key = target, segment
    return container, key


def _holds(target: Json, segment: str | int) -> bool:
    if isinstance(segment, str):
        return isinstance(target, dict) and segment in target
    return isinstance(target, list) and segment < len(target)


_MISSING = object()


def _compare(left: Json, right: Json) -> tuple[bool, int]:
    """Return whether two values are equal, and how many values were looked at to find out.

    As in tirea, 1, 1.0 and true are three different values, even inside other values.
    """
    visits = 0
    levels = [iter(((left, right),))]
    while levels:
        for one, other in levels[-1]:
            visits += 1
            if isinstance(one, list | dict):
                if type(one) is not type(other) or len(one) != len(other):
                    return False, visits
                levels.append(_pairs(one, other))
                if isinstance(one, dict):
                    visits += (_CHARACTERS * len(one) + sum(map(len, one))) // _VISITED
                break
            if isinstance(one, str):
                visits += len(one) // _VISITED
            if type(one) is not type(other) or one != other:
                return False, visits
        else:
            levels.pop()
    return True, visits


def _pairs(left: Json, right: Json) -> Iterator[tuple[Json, Json]]:
    """The values in two arrays or objects of the same size that have to be equal."""
    if isinstance(left, list):
        return zip(left, right, strict=True)
    return ((item, right.get(key, _MISSING)) for key, item in left.items())


def _copied(value: Json, path: Path) -> Json:
    """A copy of a value that shares no list or dict with it."""
    try:
        return msgspec.to_builtins(value)
    except RecursionError:
        raise _failure("the value at {path} is nested too deep", path) from None


def _where(path: Path) -> str:
    """The path for a message."""
    steps = (f"[{shorten(s)}]" if isinstance(s, int) else f".{s[:_WHERE]}" for s in path)
    where = "$" + "".join(islice(steps, _WHERE))
    return where if len(where) <= _WHERE else f"{where[: _WHERE - 3]}..."


def _failure(message: str, path: Path) -> PatchError:
    where = _where(path)
    return PatchError(where, message.format(path=where))


def _mismatch(path: Path, found: Json) -> PatchError:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    name = names.get(type(found), "number")
    return _failure(f"type mismatch at {{path}}: expected array, found {name}", path)


def _out_of_bounds(path: Path, index: int, length: int) -> PatchError:
    return _failure(f"index {shorten(index)} out of bounds (len: {length}) at path {{path}}", path)
