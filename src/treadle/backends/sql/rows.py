"""Rows and models: how each is written as the other. JSON is text; times are integers."""

from collections.abc import Iterable
from typing import Any

import msgspec

from treadle.backends.sql.program import Row, Values
from treadle.core.codec import Json, decode, encode_compact
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.runs import RunRecord
from treadle.core.threads import Thread, ThreadChangeSet, ThreadDelta, ThreadMetadata

_ENTRY_FIELDS = (
    "entry_id",
    "mailbox_id",
    "origin",
    "sender_id",
    "priority",
    "dedupe_key",
    "generation",
    "status",
    "available_at",
    "attempt_count",
    "last_error",
    "claim_token",
    "claimed_by",
    "lease_until",
    "created_at",
    "updated_at",
)
_FREE_TEXT = ("sender_id", "dedupe_key", "last_error", "claim_token", "claimed_by")
ENTRY_COLUMNS = ", ".join((*_ENTRY_FIELDS, "extra", "payload"))
"""The columns of an entry and its payload, in the order in which `read_entry` wants them."""


def to_json(value: Json) -> str:
    """A JSON value as text."""
    return msgspec.json.encode(value).decode()


def read_json(text: str | None) -> Json:
    """A JSON value from its text; None from none."""
    return None if text is None else msgspec.json.decode(text)


def pair_list(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs of an id and free text, as one value of a statement."""
    return to_json(sorted((key, to_json(text)) for key, text in pairs))


def id_list(ids: Iterable[str] | Iterable[int]) -> str:
    """Ids or numbers, as one value of a statement."""
    return to_json(sorted(ids))


def text_value(text: str | None) -> str | None:
    """Free text as its JSON, in which no character is special to a database; ids need it not."""
    return None if text is None else to_json(text)


def read_entry(row: Row) -> MailboxEntry:
    """An entry from the columns `ENTRY_COLUMNS`."""
    *fields, extra, payload = row
    values: dict[str, Any] = dict(zip(_ENTRY_FIELDS, fields, strict=True))
    for name in _FREE_TEXT:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=str)
    if extra is not None:
        values["extra"] = msgspec.json.decode(extra)
    return MailboxEntry(payload=msgspec.json.decode(payload), **values)


def entry_values(entry: MailboxEntry) -> Values:
    """The columns of an entry."""
    values: dict[str, Any] = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
    values |= {name: text_value(values[name]) for name in _FREE_TEXT}
    values["extra"] = to_json(entry.extra) if entry.extra else None
    return values


def change_values(entry: MailboxEntry) -> Values:
    """The columns of an entry that transitions change."""
    return {
        "entry_id": entry.entry_id,
        "generation": entry.generation,
        "status": entry.status,
        "available_at": entry.available_at,
        "attempt_count": entry.attempt_count,
        "last_error": text_value(entry.last_error),
        "claim_token": text_value(entry.claim_token),
        "claimed_by": text_value(entry.claimed_by),
        "lease_until": entry.lease_until,
        "updated_at": entry.updated_at,
    }


def payload_values(entry: MailboxEntry) -> Values:
    """The payload of an entry, and what else of it no claim changes and may stand apart with it."""
    return {
        "entry_id": entry.entry_id,
        "mailbox_id": entry.mailbox_id,
        "created_at": entry.created_at,
        "origin": entry.origin,
        "sender_id": text_value(entry.sender_id),
        "dedupe_key": text_value(entry.dedupe_key),
        "extra": to_json(entry.extra) if entry.extra else None,
        "payload": to_json(entry.payload),
    }


def read_mailbox(row: Row) -> MailboxState:
    """A mailbox's state from its row."""
    mailbox_id, generation, updated_at, extra = row
    return MailboxState(
        mailbox_id=mailbox_id,
        current_generation=generation,
        updated_at=updated_at,
        extra=read_json(extra) or {},
    )


def mailbox_values(state: MailboxState) -> Values:
    """The columns of a mailbox's state."""
    return {
        "mailbox_id": state.mailbox_id,
        "current_generation": state.current_generation,
        "updated_at": state.updated_at,
        "extra": to_json(state.extra) if state.extra else None,
    }


def read_run(body: str) -> RunRecord:
    """A run from its body."""
    return decode(RunRecord, body)


def run_values(run: RunRecord) -> Values:
    """The columns of a run."""
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "parent_run_id": run.parent_run_id,
        "status": run.status,
        "origin": run.origin,
        "termination_code": text_value(run.termination_code),
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "body": encode_compact(run).decode(),
    }


def message_values(thread_id: str, position: int, message: Message) -> Values:
    """The columns of a message."""
    return {
        "thread_id": thread_id,
        "position": position,
        "message_id": text_value(message.id),
        "visibility": message.visibility,
        "run_id": message.metadata.run_id if message.metadata else None,
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
    """What is kept of a thread apart from its messages, its patches and when it was updated."""
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
    """A thread from the parts it is kept in."""
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
    """A change set, its messages apart: each is a position in the thread, or (skipped) itself."""

    changes: msgspec.Raw
    messages: list[int | msgspec.Raw]


def delta_values(thread_id: str, delta: ThreadDelta, positions: dict[int, int]) -> Values:
    """The columns of a delta; `positions` says where each of its messages stands, by its index."""
    messages = delta.changes.messages
    bare = msgspec.structs.replace(delta.changes, messages=())
    places: list[int | msgspec.Raw] = [
        positions[index] if index in positions else msgspec.Raw(encode_compact(message))
        for index, message in enumerate(messages)
    ]
    body = DeltaBody(changes=msgspec.Raw(encode_compact(bare)), messages=places)
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
    """A delta from its row, with the messages that stand at its positions."""
    changes, places = body
    said = tuple(messages[place] if isinstance(place, int) else place for place in places)
    return ThreadDelta(
        version=version,
        committed_at=committed_at,
        changes=msgspec.structs.replace(changes, messages=said),
    )


def read_delta_body(text: str) -> "tuple[ThreadChangeSet, list[int | Message]]":
    """A change set without its messages, and its messages or where they stand."""
    plain = msgspec.json.decode(text)
    places: list[int | Message] = [
        place if isinstance(place, int) else decode(Message, msgspec.json.encode(place))
        for place in plain["messages"]
    ]
    return decode(ThreadChangeSet, msgspec.json.encode(plain["changes"])), places
