"""Conversion between rows and models. JSON is stored as text, times as integers."""

from collections.abc import Iterable
from typing import Any

import msgspec

from treadle.backends.sql.program import Row, Values
from treadle.backends.sql.tables import (
    CLAIM_COLUMNS,
    ENTRY_FIELDS,
    FREE_TEXT,
    MAILBOX_COLUMNS,
    text_value,
    to_json,
)
from treadle.core.codec import Json, decode, encode_compact
from treadle.core.ids import is_id
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.runs import RunRecord
from treadle.core.threads import Thread, ThreadChangeSet, ThreadDelta, ThreadMetadata

_FREE_TEXT_OF_CLAIMS = tuple(name for name in CLAIM_COLUMNS if name in FREE_TEXT)
_FREE_TEXT_OF_ENTRIES = tuple(name for name in ENTRY_FIELDS if name in FREE_TEXT)


def read_json(text: str | None) -> Json:
    """A JSON value from its text; None from none."""
    return None if text is None else msgspec.json.decode(text)


def pair_list(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs of an id and free text, as one value of a statement."""
    return to_json(sorted([(key, to_json(text)) for key, text in pairs]))


def id_list(ids: Iterable[str] | Iterable[int]) -> str:
    """Ids or numbers, as one value of a statement."""
    return to_json(sorted(ids))


def read_entry(row: Row) -> MailboxEntry:
    """An entry from the columns `ENTRY_COLUMNS`."""
    *fields, extra, payload = row
    values: dict[str, Any] = dict(zip(ENTRY_FIELDS, fields, strict=True))
    for name in _FREE_TEXT_OF_ENTRIES:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=str)
    if extra is not None:
        values["extra"] = msgspec.json.decode(extra)
    return MailboxEntry(payload=msgspec.json.decode(payload), **values)


class _Unloaded:
    """Stands for a payload that was not loaded; `has_payload` tells it from one that was."""


_UNLOADED: Any = _Unloaded()


def has_payload(entry: MailboxEntry) -> bool:
    """Return True unless the entry was loaded without its payload."""
    return entry.payload is not _UNLOADED


def read_claim(row: Row) -> MailboxEntry:
    """An entry without its payload, from the columns `CLAIM_COLUMNS`."""
    values: dict[str, Any] = dict(zip(CLAIM_COLUMNS, row, strict=True))
    for name in _FREE_TEXT_OF_CLAIMS:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=str)
    return MailboxEntry(payload=_UNLOADED, **values)


def read_mailbox(row: Row) -> MailboxState:
    """A mailbox's state from the columns `MAILBOX_COLUMNS`."""
    values: dict[str, Any] = dict(zip(MAILBOX_COLUMNS, row, strict=True))
    values["extra"] = read_json(values["extra"]) or {}
    return MailboxState(**values)


def read_run(body: str) -> RunRecord:
    """A run from its body."""
    return decode(RunRecord, body)


def message_values(thread_id: str, position: int, message: Message) -> Values:
    """The columns of a message."""
    run_id = message.metadata.run_id if message.metadata else None
    return {
        "thread_id": thread_id,
        "position": position,
        "message_id": text_value(message.id),
        "visibility": message.visibility,
        # Pages are asked for by valid ids only; any other text stays in the body.
        "run_id": run_id if run_id is not None and is_id(run_id) else None,
        "body": encode_compact(message).decode(),
    }


def patch_values(thread_id: str, position: int, patch: TrackedPatch) -> Values:
    """The columns of a patch."""
    return {
        "thread_id": thread_id,
        "position": position,
        "body": encode_compact(patch).decode(),
    }


def body_values(thread: Thread) -> Values:
    """The body of a thread: without its messages, its patches and when it was updated."""
    metadata = msgspec.structs.replace(thread.metadata, updated_at=None)
    bare = msgspec.structs.replace(thread, messages=(), patches=(), state=None, metadata=metadata)
    return {
        "thread_id": thread.id,
        "body": encode_compact(bare).decode(),
        "state": to_json(thread.state),
    }


def read_thread(
    body: str, state: str, updated_at: int | None, messages: Iterable[str], patches: Iterable[str]
) -> Thread:
    """A thread from its parts."""
    bare = decode(Thread, body)
    metadata: ThreadMetadata = msgspec.structs.replace(bare.metadata, updated_at=updated_at)
    return msgspec.structs.replace(
        bare,
        state=read_json(state),
        messages=tuple(decode(Message, each) for each in messages),
        patches=tuple(decode(TrackedPatch, each) for each in patches),
        metadata=metadata,
    )


class DeltaBody(msgspec.Struct, frozen=True):
    """A change set, and its messages: positions in the thread, or messages that were skipped."""

    changes: msgspec.Raw
    messages: list[int | msgspec.Raw]


def delta_values(thread_id: str, delta: ThreadDelta, positions: dict[int, int]) -> Values:
    """The columns of a delta; `positions` are those of its messages in the thread, by index."""
    messages = delta.changes.messages
    bare = msgspec.structs.replace(delta.changes, messages=())
    stored: list[int | msgspec.Raw] = [
        positions[index] if index in positions else msgspec.Raw(encode_compact(message))
        for index, message in enumerate(messages)
    ]
    body = DeltaBody(changes=msgspec.Raw(encode_compact(bare)), messages=stored)
    return {
        "thread_id": thread_id,
        "version": delta.version,
        "committed_at": delta.committed_at,
        "body": msgspec.json.encode(body).decode(),
    }


def read_delta(
    version: int,
    committed_at: int,
    body: "tuple[ThreadChangeSet, list[int | Message]]",
    messages: dict[int, Message],
) -> ThreadDelta:
    """A delta from its row, with the messages at its positions."""
    changes, stored = body
    restored = tuple(messages[each] if isinstance(each, int) else each for each in stored)
    return ThreadDelta(
        version=version,
        committed_at=committed_at,
        changes=msgspec.structs.replace(changes, messages=restored),
    )


def read_delta_body(text: str) -> "tuple[ThreadChangeSet, list[int | Message]]":
    """A change set without its messages, and its messages or their positions."""
    plain = msgspec.json.decode(text)
    stored: list[int | Message] = [
        each if isinstance(each, int) else decode(Message, msgspec.json.encode(each))
        for each in plain["messages"]
    ]
    return decode(ThreadChangeSet, msgspec.json.encode(plain["changes"])), stored
