"""Rows of threads and of their parts: their columns as values, and read back from them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from treadle.backends.model.steps import positions_of
from treadle.backends.sql.program import Row, Values
from treadle.backends.sql.rows import StructT, damage_of, naming_damage, read_json, text_of
from treadle.backends.sql.tables import text_value, to_json
from treadle.core.codec import decode, encode
from treadle.core.cursors import NO_TIME, Position, SortTime
from treadle.core.ids import check_id, check_ids, is_id
from treadle.core.limits import Count, Time, Version
from treadle.core.messages import Message, StoredMessage
from treadle.core.patches import TrackedPatch
from treadle.core.thread_summaries import ThreadKey, ThreadSummary
from treadle.core.threads import History, Thread, ThreadChangeSet, ThreadMetadata

DeltaBodyParts: TypeAlias = tuple[ThreadChangeSet, list[int | Message]]
"""A change set without its messages, and its messages or their positions."""


@naming_damage("thread")
def read_thread_id(row: Row) -> str:
    """A thread's id, if it is one."""
    return check_id("thread", row[0])


def message_values(
    thread: Values, position: int, message: Message, committed_at: int | None
) -> dict[str, Any]:
    """The columns of a message; `thread` has those that name its thread, here and below."""
    run_id = message.metadata.run_id if message.metadata else None
    return {
        **thread,
        "position": position,
        "committed_at": committed_at,
        "message_id": text_value(message.id),
        "visibility": message.visibility,
        # Pages are asked for by valid ids only; any other text stays in the body.
        "run_id": run_id if run_id is not None and is_id(run_id) else None,
        "body": _message_body(message),
    }


def _message_body(message: Message) -> str:
    """A message as JSON, without its id, which has a column."""
    return encode(msgspec.structs.replace(message, id=None)).decode()


def patch_values(thread: Values, position: int, patch: TrackedPatch) -> dict[str, Any]:
    """The columns of a patch."""
    return {**thread, "position": position, "body": encode(patch).decode()}


def body_values(thread: Values, whole: Thread) -> dict[str, Any]:
    """The body of a thread, and its state."""
    return {**thread, "body": bare_body(whole), "state": to_json(whole.state)}


def bare_body(thread: Thread) -> str:
    """A thread as JSON, without its messages, its patches, its state and when it was updated."""
    metadata = msgspec.structs.replace(thread.metadata, updated_at=None)
    bare = msgspec.structs.replace(thread, messages=(), patches=(), state=None, metadata=metadata)
    return encode(bare).decode()


def read_time(time: int) -> int | None:
    """A time of a thread, or None."""
    return None if time == NO_TIME else time


class ThreadRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which a thread is read, beside its messages and patches."""

    version: Version
    updated_at: SortTime
    body: str
    state: str


class FoundThread(msgspec.Struct, frozen=True, array_like=True):
    """The columns of a thread that a read of its parts needs."""

    thread_key: int
    version: Version


class LockedThread(msgspec.Struct, frozen=True, array_like=True):
    """The columns of a thread that a commit needs."""

    thread_id: str
    version: Version
    updated_at: SortTime
    message_count: Count
    patch_count: Count
    thread_key: int


@naming_damage("thread")
def read_locked_thread(row: Row) -> LockedThread:
    """The columns of a thread that a commit needs."""
    return msgspec.convert(row, LockedThread)


class MessageRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which a message is read."""

    position: Count
    committed_at: Time | None
    message_id: str | None
    body: str


class DeltaRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which a delta is read."""

    version: Version
    committed_at: Time
    body: str


def read_columns(kind: type[StructT], row: Row) -> StructT:
    """The columns of a row, each checked to be of its type."""
    return msgspec.convert(row, kind)


def read_thread(row: ThreadRow, messages: Iterable[Message], patches: Iterable[str]) -> Thread:
    """A thread from its parts."""
    bare = decode(Thread, row.body)
    metadata: ThreadMetadata = msgspec.structs.replace(
        bare.metadata, updated_at=read_time(row.updated_at)
    )
    return msgspec.structs.replace(
        bare,
        state=read_json(row.state),
        messages=tuple(messages),
        patches=tuple(decode(TrackedPatch, text_of(each)) for each in patches),
        metadata=metadata,
    )


class LabelsRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which the labels of a thread are read."""

    thread_id: str
    updated_at: SortTime
    body: str


class HeadRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which the summary of a thread is read."""

    thread_id: str
    version: Version
    created_at: SortTime
    updated_at: SortTime
    message_count: Count
    body: str


@naming_damage("thread")
def read_labels(row: Row) -> Thread:
    """A thread without messages, state and patches."""
    return _read_bare(read_columns(LabelsRow, row))


@naming_damage("thread")
def read_summary(row: Row) -> ThreadSummary:
    """The summary of a thread."""
    columns = read_columns(HeadRow, row)
    thread = _read_bare(columns)
    return ThreadSummary(
        id=thread.id,
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        metadata=thread.metadata,
        version=columns.version,
        message_count=columns.message_count,
    )


def head_position(row: Row, by: ThreadKey) -> Position[ThreadKey]:
    """Where the row of a summary is in a listing, by the columns that it is sorted by.

    Raises:
        CorruptRecord: one of these is damaged.
    """
    thread_id, _, created_at, updated_at, *_ = row
    times = {"id": NO_TIME, "created_at": created_at, "updated_at": updated_at}
    with damage_of(f"thread {thread_id!r}"):
        return msgspec.convert((by, times[by], thread_id), Position[ThreadKey])


def _read_bare(columns: LabelsRow | HeadRow) -> Thread:
    bare = decode(Thread, columns.body)
    if bare.id != columns.thread_id:
        raise ValueError(f"its body is that of thread {bare.id!r}")
    check_ids(bare)
    metadata = msgspec.structs.replace(bare.metadata, updated_at=read_time(columns.updated_at))
    return msgspec.structs.replace(bare, metadata=metadata)


def read_message(row: Row) -> StoredMessage:
    """A message, its position and its time."""
    return stored_message(read_columns(MessageRow, row))


def stored_message(columns: MessageRow) -> StoredMessage:
    """A message, its position and its time."""
    message = decode(Message, columns.body)
    if message.id is not None:
        raise ValueError("its body has an id, which belongs in its column")
    if columns.message_id is not None:
        message_id = msgspec.json.decode(columns.message_id, type=str)
        message = msgspec.structs.replace(message, id=message_id)
    return StoredMessage(
        cursor=columns.position, message=message, committed_at=columns.committed_at
    )


_NO_CHANGES = ThreadChangeSet()


class DeltaBody(msgspec.Struct, frozen=True):
    """A change set, and its messages: positions in the thread, or messages that were skipped.

    Of a delta that has messages only, these are stored without the change set.
    """

    changes: msgspec.Raw
    messages: list[int | msgspec.Raw]


def removed_values(thread: Values, step: History) -> list[dict[str, Any]]:
    """The columns of the messages that a step removed."""
    return [
        {
            **thread,
            "position": position,
            "version": step.delta.version,
            "committed_at": each.committed_at,
            "message_id": text_value(each.message.id),
            "body": _message_body(each.message),
        }
        for position, each in enumerate(step.removed, start=step.kept)
    ]


def delta_values(thread: Values, step: History) -> dict[str, Any]:
    """The columns of a step's delta, which names the messages that it has added by positions."""
    delta, positions = step.delta, positions_of(step)
    messages = delta.changes.messages
    bare = msgspec.structs.replace(delta.changes, messages=())
    stored: list[int | msgspec.Raw] = [
        positions[index] if index in positions else msgspec.Raw(encode(message))
        for index, message in enumerate(messages)
    ]
    body = stored if bare == _NO_CHANGES else DeltaBody(msgspec.Raw(encode(bare)), stored)
    return {
        **thread,
        "version": delta.version,
        "committed_at": delta.committed_at,
        "body": msgspec.json.encode(body).decode(),
    }


def read_delta_body(text: str) -> DeltaBodyParts:
    """A change set without its messages, and its messages or their positions."""
    body = msgspec.json.decode(text)
    if isinstance(body, list):
        messages, changes = body, {}
    else:
        messages, changes = body["messages"], body["changes"]
    stored: list[int | Message] = [
        each if isinstance(each, int) else decode(Message, msgspec.json.encode(each))
        for each in messages
    ]
    return decode(ThreadChangeSet, msgspec.json.encode(changes)), stored
