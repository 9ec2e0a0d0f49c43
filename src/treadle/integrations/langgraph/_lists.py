"""Lists in pieces: a list that has grown is stored by writing what is new."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from treadle.integrations.langgraph._codec import Codec
from treadle.integrations.langgraph._known import Run, StoredList
from treadle.integrations.langgraph._layout import MOST_PIECES

_SPLIT_FROM = 4
"""Shorter lists are stored whole."""
_RUNS = 16
"""Most runs that are compared one by one."""


def is_split(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is stored in pieces."""
    return type(value) is list and len(value) >= _SPLIT_FROM


def new_list_id() -> str:
    """Return an id of a list; not from `uuid` or `random`, which tests make predictable."""
    return os.urandom(8).hex()


def grow(codec: Codec, before: StoredList | None, items: list[Any]) -> StoredList:
    """Return a list as it is to be stored: what `before` has of it and one more piece, or all.

    Bytes are compared, and not identities, because items may have been changed in place.
    """
    if before is not None and before.pieces == MOST_PIECES:
        before = None
    known = before.runs if before is not None else ()
    same = tuple(_same_runs(codec, known, items))
    start = sum(run.items for run in same)
    if before is None or not same or (start < len(items) and len(same) < len(known)):
        # Another branch went on with these pieces, or they are of another list.
        return StoredList(new_list_id(), (Run(1, len(items), codec.dump(items)),))
    if start < len(items):
        rest = items[start:]
        same = (*same, Run(1, len(rest), codec.dump(rest)))
    return StoredList(before.id, same)


def merge(codec: Codec, stored: StoredList, items: list[Any]) -> StoredList:
    """Return the list with fewer runs, so that it is compared in fewer steps the next time."""
    if len(stored.runs) <= _RUNS:
        return stored
    return StoredList(stored.id, (Run(stored.pieces, len(items), codec.dump(items)),))


def _same_runs(codec: Codec, known: Iterable[Run], items: list[Any]) -> Iterator[Run]:
    """Yield the first runs of `items` that are stored, with the bytes that they have now."""
    start = 0
    for run in known:
        end = start + run.items
        if end > len(items):
            return
        plain = codec.dump(items[start:end])
        # An object may be serialized otherwise after it was read, such as one with default fields.
        if plain != run.plain and plain != codec.dump(codec.load(run.plain)):
            return
        yield run._replace(plain=plain)
        start = end
