"""Lists in pieces: a list that has grown is stored by writing what is new."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from treadle.integrations.langgraph._codec import Codec
from treadle.integrations.langgraph._known import Piece, StoredList

_SPLIT_FROM = 4
"""Shorter lists are stored whole."""


def is_split(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is stored in pieces."""
    return type(value) is list and len(value) >= _SPLIT_FROM


def new_list_id() -> str:
    """Return an id of a list; not from `uuid` or `random`, which tests make predictable."""
    return os.urandom(8).hex()


def grow(codec: Codec, before: StoredList | None, items: list[Any]) -> StoredList:
    """Return a list in pieces: the first ones of `before` and a new one, or all in a new list.

    Bytes are compared, and not identities, because items may have been changed in place.
    """
    known = before.pieces if before is not None else ()
    same = tuple(_same_pieces(codec, known, items))
    start = sum(piece.length for piece in same)
    if before is None or not same or (start < len(items) and len(same) < len(known)):
        # Another branch went on with these pieces, or they are of another list.
        return StoredList(new_list_id(), (_piece(codec, items),))
    if start < len(items):
        same = (*same, _piece(codec, items[start:]))
    return StoredList(before.id, same)


def _same_pieces(codec: Codec, known: Iterable[Piece], items: list[Any]) -> Iterator[Piece]:
    """Yield the first pieces of `items` that are stored, with the bytes that they have now."""
    start = 0
    for piece in known:
        end = start + piece.length
        if end > len(items):
            return
        plain = codec.dump(items[start:end])
        # An object may be serialized otherwise after it was read, such as one with default fields.
        if plain != piece.plain and plain != codec.dump(codec.load(piece.plain)):
            return
        yield Piece(piece.length, plain)
        start = end


def _piece(codec: Codec, items: list[Any]) -> Piece:
    return Piece(len(items), codec.dump(items))
