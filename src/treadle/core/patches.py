"""Patches: changes to a thread's state, as operations."""

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from msgspec import Meta

from treadle.core.codec import Json, SortedModel
from treadle.core.limits import PATH
from treadle.errors import InvalidValue

Index = Annotated[int, Meta(ge=0)]
"""A position in an array, from 0."""

Path = tuple[str | Index, ...]
"""Keys of objects and indexes of arrays, from the root inwards; the empty path is the root.

A store accepts at most 100 of them.
"""


class Set(SortedModel, frozen=True, tag_field="op", tag="set"):
    """Put `value` at `path`; objects on the way are created, whatever was there."""

    path: Path
    value: Json


class Delete(SortedModel, frozen=True, tag_field="op", tag="delete"):
    """Remove the value at `path`; it is not an error if there is none."""

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
    """Join `value` into a lattice; without a registered one it is a `set`, as in tirea."""

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


def check_paths(patches: Iterable[TrackedPatch], where: str) -> None:
    """Refuse paths that are too long; `where` says where the patches are.

    Raises:
        InvalidValue: there is one.
    """
    for number, tracked in enumerate(patches):
        for position, op in enumerate(tracked.patch.ops):
            if len(op.path) > PATH:
                place = f"{where}[{number}].patch.ops[{position}].path"
                reason = f"it has {len(op.path):,} segments, and a state at most {PATH} levels"
                raise InvalidValue(place, reason)
