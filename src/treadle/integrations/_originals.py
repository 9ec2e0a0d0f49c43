"""What a file had and Treadle writes differently: kept beside a model, and restored when written.

`content: null` or a missing `content`, the role `developer`, the spaces in a call's arguments: the
difference between what was read and what would be written is kept in `extra["openai_chat"]`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from treadle.core.codec import Json
from treadle.integrations._values import same

ORIGINALS = "openai_chat"
"""The key in `extra`."""


class Difference(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to change an object that Treadle writes into the one that was read."""

    fields: dict[str, Any] = {}
    """Fields to set."""
    absent: list[str] = []
    """Fields to leave out."""
    inner: "Difference | None" = None
    """The same for the object inside, of a tool call."""

    def as_json(self) -> Json:
        """Return the difference as it is kept."""
        return msgspec.to_builtins(self)


NONE = Difference()


def difference(read: dict[str, Json], written: dict[str, Json]) -> Difference:
    """Return the difference of `read` from `written`."""
    fields = {
        key: item
        for key, item in read.items()
        if key not in written or not same(written[key], item)
    }
    return Difference(fields=fields, absent=sorted(written.keys() - read.keys()))


def is_difference(value: Json) -> bool:
    """Return True if a value looks like a difference; another one is a field of that name."""
    try:
        msgspec.convert(value, Difference)
    except msgspec.ValidationError:
        return False
    return True


def kept_in(extra: dict[str, Json]) -> Difference:
    """Return the difference in a model's `extra`, if there is one."""
    try:
        return msgspec.convert(extra.get(ORIGINALS, {}), Difference)
    except msgspec.ValidationError:
        return NONE  # not ours: a field of that name


def restored(
    written: dict[str, Json],
    kept: Difference,
    reads_the_same: Callable[[dict[str, Json]], bool],
) -> dict[str, Json]:
    """Return the object that was read, as far as that still has the same meaning.

    A model may have been changed since it was read. Then the change counts, not the original.
    """
    result = dict(written)
    for key, item in kept.fields.items():
        if reads_the_same({**written, key: item}):
            result[key] = item
    for key in kept.absent:
        if reads_the_same({name: item for name, item in written.items() if name != key}):
            result.pop(key, None)
    return result
