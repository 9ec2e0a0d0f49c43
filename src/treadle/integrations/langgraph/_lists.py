"""Lists in pieces: a list that has grown is stored by writing what is new."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeGuard

from treadle.clock import random_number
from treadle.integrations.langgraph._codec import Codec, Plain
from treadle.integrations.langgraph._layout import MOST_PIECES
from treadle.integrations.langgraph._packing import join, pack, unpack

_SPLIT_FROM = 4
"""Shorter lists are stored whole."""
_RUNS = 16
"""Most runs that are compared one by one."""
_APART = 4
"""The last runs of packed messages, of two turns as a rule, which stay apart."""


class Run:
    """Some stored pieces of a list that follow each other, with the items that they have together.

    They are kept as bytes: those of the serializer, or packed if they are messages that were read.
    """

    def __init__(self, pieces: int, items: int, content: Plain | bytes) -> None:
        """Keep the items of some pieces.

        Args:
            pieces: how many pieces.
            items: how many items.
            content: the list of the items: as the serializer has made it, or packed.
        """
        self.pieces = pieces
        self.items = items
        self._keep(content)

    def _keep(self, content: Plain | bytes) -> None:
        self._content = content
        self.size = len(content if isinstance(content, bytes) else content[1])
        """How many bytes it takes."""

    @property
    def packed(self) -> bytes | None:
        """Its items, if they are packed messages."""
        return self._content if isinstance(self._content, bytes) else None

    def load(self, codec: Codec) -> list[Any]:
        """Return the items, as new objects."""
        if isinstance(self._content, bytes):
            return unpack(self._content)
        items: list[Any] = codec.load(self._content)
        # What the serializer makes of the stored bytes is packed, and not what it made them of:
        # a list is the same whether it was kept here or not.
        if packed := pack(items):
            self._keep(packed)
        return items

    def has(self, codec: Codec, items: list[Any]) -> bool:
        """Return whether these are the items.

        Bytes are compared, and not identities, because items may have been changed in place.
        """
        if isinstance(self._content, bytes) and pack(items) == self._content:
            return True
        plain = codec.dump(items)
        if plain == self._content:
            return True
        # An object may be serialized otherwise after it was read, such as one with default fields.
        if plain != codec.dump(self.load(codec)):
            return False
        if self.packed is None:
            self._keep(plain)
        return True


class StoredList(NamedTuple):
    """A list as it is stored: in pieces, which never change; others may follow them."""

    id: str
    runs: tuple[Run, ...]

    @property
    def pieces(self) -> int:
        """How many pieces it has."""
        return sum([run.pieces for run in self.runs])

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return sum([run.size for run in self.runs])

    def first(self, pieces: int) -> "StoredList | None":
        """Return the list that has only the first pieces; None if they are not known apart."""
        runs: list[Run] = []
        for run in self.runs:
            if pieces == 0:
                break
            runs.append(run)
            pieces -= run.pieces
        return StoredList(self.id, tuple(runs)) if pieces == 0 else None

    def load(self, codec: Codec) -> list[Any]:
        """Return the items, as new objects."""
        return [item for run in self.runs for item in run.load(codec)]


class NewPiece(NamedTuple):
    """A piece of a list that is to be stored."""

    number: int
    items: int
    plain: Plain


def is_split(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is stored in pieces."""
    return type(value) is list and len(value) >= _SPLIT_FROM


def new_list_id() -> str:
    """Return an id of a list; not from `uuid` or `random`, which tests make predictable."""
    return f"{random_number(64):016x}"


def grow(
    codec: Codec, before: StoredList | None, items: list[Any]
) -> tuple[StoredList, NewPiece | None]:
    """Return a list as it is to be stored, and the piece that is missing.

    That is what `before` has of it and one more piece, or all.
    """
    if before is not None and before.pieces == MOST_PIECES:
        before = None
    known = before.runs if before is not None else ()
    same = tuple(_same_runs(codec, known, items))
    start = sum(run.items for run in same)
    if before is None or not same or (start < len(items) and len(same) < len(known)):
        # Another branch went on with these pieces, or they are of another list.
        return _with_piece(codec, StoredList(new_list_id(), ()), items)
    stored = StoredList(before.id, same)
    if start == len(items):
        return stored, None
    return _with_piece(codec, stored, items[start:])


def merge(codec: Codec, stored: StoredList, items: list[Any]) -> StoredList:
    """Return the list with fewer runs, so that it is compared in fewer steps the next time.

    The last ones stay apart: a list that loses them again is still a list that is stored.
    """
    first, last = stored.runs[:-_APART], stored.runs[-_APART:]
    packed = [run.packed for run in first]
    if len(first) > 1 and _are_packed(packed):
        pieces, count = sum([run.pieces for run in first]), sum([run.items for run in first])
        return StoredList(stored.id, (Run(pieces, count, join(packed)), *last))
    if len(stored.runs) <= _RUNS:
        return stored
    whole = pack(stored.load(codec)) if any(run.packed for run in stored.runs) else None
    return StoredList(stored.id, (Run(stored.pieces, len(items), whole or codec.dump(items)),))


def _are_packed(runs: list[bytes | None]) -> TypeGuard[list[bytes]]:
    return None not in runs


def _with_piece(
    codec: Codec, stored: StoredList, items: list[Any]
) -> tuple[StoredList, NewPiece | None]:
    plain = codec.dump(items)
    runs = (*stored.runs, Run(1, len(items), plain))
    return StoredList(stored.id, runs), NewPiece(stored.pieces, len(items), plain)


def _same_runs(codec: Codec, known: Iterable[Run], items: list[Any]) -> Iterator[Run]:
    """Yield the first runs of `items` that are stored."""
    start = 0
    for run in known:
        end = start + run.items
        if end > len(items) or not run.has(codec, items[start:end]):
            return
        yield run
        start = end
