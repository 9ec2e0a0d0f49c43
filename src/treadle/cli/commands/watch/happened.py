"""Something that has happened in a store, as `treadle watch` shows it."""

from typing import Any

import msgspec

from treadle.core.codec import Json

_KNOWN = 10_000
"""How many entries, runs, threads and mailboxes are remembered, to show only what has changed."""


class Happened(msgspec.Struct, frozen=True):
    """Something that has happened."""

    at: int
    """When, in unix milliseconds."""
    text: str
    plain: Json


def forget_oldest(known: dict[str, Any]) -> None:
    """Keep no more than the last of what was seen."""
    while len(known) > _KNOWN:
        del known[next(iter(known))]
