"""What the journal says of a batch: the documents it puts, removes or appends to."""

from collections.abc import Iterable, Sequence

import msgspec

from treadle.backends.files.tables import FileTables
from treadle.backends.model.tables import Change, TableName, deltas_of
from treadle.core.codec import encode, encode_compact
from treadle.core.threads import StoredThread


class Place(msgspec.Struct, frozen=True, tag="place", array_like=True):
    """A document is this from now on."""

    table: TableName
    key: str
    document: msgspec.Raw


class Remove(msgspec.Struct, frozen=True, tag="remove", array_like=True):
    """A document is no more."""

    table: TableName
    key: str


class Append(msgspec.Struct, frozen=True, tag="append", array_like=True):
    """A thread was appended to; this journal has placed it before."""

    key: str
    deltas: tuple[msgspec.Raw, ...]


Effect = Place | Remove | Append
_decoder = msgspec.json.Decoder(tuple[Effect, ...])


def key_of(effect: Effect) -> tuple[TableName, str]:
    """Which document an effect is about."""
    return ("threads", effect.key) if isinstance(effect, Append) else (effect.table, effect.key)


def to_payload(effects: Sequence[Effect]) -> bytes:
    """The effects of a batch, for the journal."""
    return msgspec.json.encode(effects)


def from_payload(payload: bytes) -> tuple[Effect, ...]:
    """The effects of a batch, from the journal."""
    return _decoder.decode(payload)


def effects_of(changes: Iterable[Change], tables: FileTables, placed: set[str]) -> list[Effect]:
    """The effects of a batch's changes; `placed` are the threads this journal has placed."""
    return [_effect_of(change, tables, placed) for change in changes]


def _effect_of(change: Change, tables: FileTables, placed: set[str]) -> Effect:
    after = change.after
    if after is None:
        return Remove(change.table, change.key)
    if not isinstance(after, StoredThread):
        return Place(change.table, change.key, msgspec.Raw(encode(after)))
    deltas = deltas_of(change) if change.key in placed else None
    if deltas is not None:
        return Append(change.key, tuple(msgspec.Raw(encode_compact(delta)) for delta in deltas))
    placed.add(change.key)
    document = tables.threads.document(change.key, after)
    return Place(change.table, change.key, msgspec.Raw(b"".join(document.parts())))
