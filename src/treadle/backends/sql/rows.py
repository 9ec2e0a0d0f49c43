"""Conversion between rows and models. JSON is stored as text, times as integers.

A row that is read is checked: SQLite keeps any value in any column, and people change databases by
hand. A damaged one raises `CorruptRecord`, which names it.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.steps import positions_of
from treadle.backends.sql.program import Row, Values
from treadle.backends.sql.tables import (
    CLAIM_COLUMNS,
    DOCUMENT_COLUMNS,
    ENTRY_FIELDS,
    FREE_TEXT,
    MAILBOX_COLUMNS,
    TRUTHS,
    text_value,
    to_json,
)
from treadle.core.codec import Json, decode, encode
from treadle.core.cursors import NO_TIME, Position, SortTime
from treadle.core.documents import Document
from treadle.core.heads import HeadKey, ThreadSummary
from treadle.core.ids import check_id, check_ids, is_id
from treadle.core.keys import check_key, split
from treadle.core.limits import Count, Time, Version
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import Message, StoredMessage
from treadle.core.patches import TrackedPatch
from treadle.core.runs import RunRecord
from treadle.core.threads import History, Thread, ThreadChangeSet, ThreadMetadata
from treadle.errors import CorruptRecord, InvalidId

RecordT = TypeVar("RecordT")
StructT = TypeVar("StructT", bound=msgspec.Struct)
ReadRow: TypeAlias = Callable[[Row], RecordT]

DeltaBodyParts: TypeAlias = tuple[ThreadChangeSet, list[int | Message]]
"""A change set without its messages, and its messages or their positions."""

UNREADABLE = (
    msgspec.MsgspecError,
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors that our own code raises for values that a healthy database never contains."""

_EXTRA = msgspec.structs.fields(MailboxState)[0].encode_name
"""The name of the field of a model for unknown fields."""
_FREE_TEXT_OF_CLAIMS = tuple(name for name in CLAIM_COLUMNS if name in FREE_TEXT)
_FREE_TEXT_OF_ENTRIES = tuple(name for name in ENTRY_FIELDS if name in FREE_TEXT)


def read_json(text: str | None) -> Json:
    """A JSON value from its text; None from none."""
    return None if text is None else msgspec.json.decode(_text(text))


def _text(value: object) -> str:
    if not isinstance(value, str):  # msgspec would read bytes too
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def pair_list(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs of an id and free text, as one value of a statement."""
    return to_json(sorted([(key, to_json(text)) for key, text in pairs]))


def id_list(ids: Iterable[str] | Iterable[int]) -> str:
    """Ids or numbers, as one value of a statement."""
    return to_json(sorted(ids))


@contextmanager
def damage_of(record: str) -> Generator[None, None, None]:
    """Raise whatever the block raises for unreadable values as the damage of a record.

    Raises:
        CorruptRecord: names the record.
    """
    try:
        yield
    except (CorruptRecord, InvalidId) as error:
        raise CorruptRecord(record, error.reason) from error
    except UNREADABLE as error:
        raise CorruptRecord(record, str(error)) from error


def _names_damage(kind: str) -> Callable[[ReadRow[RecordT]], ReadRow[RecordT]]:
    """Let a function that reads a row name it in its errors, by the first column."""

    def decorate(read: ReadRow[RecordT]) -> ReadRow[RecordT]:
        @wraps(read)
        def named(row: Row) -> RecordT:
            try:
                return read(row)
            except (CorruptRecord, InvalidId, *UNREADABLE):
                with damage_of(f"{kind} {row[0]!r}"):
                    raise

        return named

    return decorate


def readable(
    read: ReadRow[RecordT],
    rows: Iterable[Row],
    damage: DamageLog,
    left_out: list[str] | None = None,
) -> list[RecordT]:
    """The records of the rows that can be read; `damage` notes the others.

    Their names are added to `left_out`.
    """
    records: list[RecordT] = []
    for row in rows:
        try:
            records.append(read(row))
        except CorruptRecord as error:
            damage.note(error)
            if left_out is not None:
                left_out.append(error.where)
    return records


@_names_damage("mailbox entry")
def read_entry(row: Row) -> MailboxEntry:
    """An entry from the columns `ENTRY_COLUMNS`."""
    *fields, headers, extra, payload = row
    values = _entry_values(ENTRY_FIELDS, fields, _FREE_TEXT_OF_ENTRIES)
    if headers is not None:
        values["headers"] = read_json(headers)
    if extra is not None:
        values[_EXTRA] = read_json(extra)
    if payload is None:
        raise ValueError("its payload is missing")
    values["payload"] = read_json(payload)
    return _checked(values, MailboxEntry)


class _Unloaded:
    """Stands for a payload or value that was not loaded, which is another thing than null."""


_UNLOADED: Any = _Unloaded()


def has_payload(entry: MailboxEntry) -> bool:
    """Return True unless the entry was loaded without its payload."""
    return entry.payload is not _UNLOADED


@_names_damage("mailbox entry")
def read_claim(row: Row) -> MailboxEntry:
    """An entry without its payload, from the columns `CLAIM_COLUMNS`."""
    values = _entry_values(CLAIM_COLUMNS, row, _FREE_TEXT_OF_CLAIMS)
    values["payload"] = _UNLOADED
    return _checked(values, MailboxEntry)


def _entry_values(
    names: Iterable[str], row: Iterable[Any], free_text: Iterable[str]
) -> dict[str, Any]:
    """The fields of an entry that are columns of their own."""
    values: dict[str, Any] = dict(zip(names, row, strict=True))
    for name in free_text:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name], type=str)
    for name in TRUTHS:
        if values[name] not in (0, 1):
            raise ValueError(f"{name} is {values[name]!r}, and it should be 0 or 1")
        values[name] = bool(values[name])
    return values


@_names_damage("mailbox")
def read_mailbox(row: Row) -> MailboxState:
    """A mailbox's state from the columns `MAILBOX_COLUMNS`."""
    values: dict[str, Any] = dict(zip(MAILBOX_COLUMNS, row, strict=True))
    values[_EXTRA] = read_json(values.pop("extra")) or {}
    values["pause_reason"] = read_json(values["pause_reason"])
    return _checked(values, MailboxState)


@_names_damage("run")
def read_run(row: Row) -> RunRecord:
    """A run from its id and its body."""
    run_id, body = row
    run = decode(RunRecord, _text(body))
    if run.run_id != run_id:
        raise ValueError(f"its body is that of run {run.run_id!r}")
    check_ids(run)
    return run


def read_document(row: Row) -> Document:
    """A document from the columns `DOCUMENT_COLUMNS`."""
    *columns, extra, value = row
    with damage_of(_document_name(row)):
        return _document(columns, read_json(extra) or {}, read_json(_text(value)))


def read_document_head(row: Row) -> Document:
    """A document without its value, from the columns `DOCUMENT_COLUMNS` but for the last two."""
    with damage_of(_document_name(row)):
        return _document(row, {}, _UNLOADED)


def has_value(document: Document) -> bool:
    """Return True unless the document was loaded without its value."""
    return document.value is not _UNLOADED


def _document_name(row: Row) -> str:
    collection, key, *_ = row
    return f"document {(collection, *split(str(key)))}"


def _document(columns: Iterable[Any], extra: Json, value: Json) -> Document:
    values: dict[str, Any] = dict(zip(DOCUMENT_COLUMNS, columns, strict=False))
    values["key"] = split(_text(values["key"]))
    document = _checked({**values, _EXTRA: extra, "value": value}, Document)
    check_key(document.key, "key")
    return document


@_names_damage("thread")
def read_thread_id(row: Row) -> str:
    """A thread's id, if it is one."""
    return check_id("thread", row[0])


def _checked(values: dict[str, Any], kind: type[StructT]) -> StructT:
    model = msgspec.convert(values, kind)
    check_ids(model)
    return model


def message_values(
    thread_id: str, position: int, message: Message, committed_at: int | None
) -> Values:
    """The columns of a message."""
    run_id = message.metadata.run_id if message.metadata else None
    return {
        "thread_id": thread_id,
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


def patch_values(thread_id: str, position: int, patch: TrackedPatch) -> Values:
    """The columns of a patch."""
    return {
        "thread_id": thread_id,
        "position": position,
        "body": encode(patch).decode(),
    }


def body_values(thread: Thread) -> Values:
    """The body of a thread, and its state."""
    return {"thread_id": thread.id, "body": bare_body(thread), "state": to_json(thread.state)}


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
        patches=tuple(decode(TrackedPatch, _text(each)) for each in patches),
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


@_names_damage("thread")
def read_labels(row: Row) -> Thread:
    """A thread without messages, state and patches."""
    return _read_bare(read_columns(LabelsRow, row))


@_names_damage("thread")
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


def head_position(row: Row, by: HeadKey) -> Position[HeadKey]:
    """Where the row of a summary is in a listing, by the columns that it is sorted by.

    Raises:
        CorruptRecord: one of these is damaged.
    """
    thread_id, _, created_at, updated_at, *_ = row
    times = {"id": NO_TIME, "created_at": created_at, "updated_at": updated_at}
    with damage_of(f"thread {thread_id!r}"):
        return msgspec.convert((by, times[by], thread_id), Position[HeadKey])


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
        raise ValueError("its body has an id, which belongs into its column")
    if columns.message_id is not None:
        message_id = msgspec.json.decode(columns.message_id, type=str)
        message = msgspec.structs.replace(message, id=message_id)
    return StoredMessage(
        cursor=columns.position, message=message, committed_at=columns.committed_at
    )


_NO_CHANGES = encode(ThreadChangeSet())


class DeltaBody(msgspec.Struct, frozen=True):
    """A change set, and its messages: positions in the thread, or messages that were skipped.

    Of a delta that has messages only, these are stored without the change set.
    """

    changes: msgspec.Raw
    messages: list[int | msgspec.Raw]


def removed_values(thread_id: str, step: History) -> list[Values]:
    """The columns of the messages that a step removed."""
    return [
        {
            "thread_id": thread_id,
            "position": position,
            "version": step.delta.version,
            "committed_at": each.committed_at,
            "message_id": text_value(each.message.id),
            "body": _message_body(each.message),
        }
        for position, each in enumerate(step.removed, start=step.kept)
    ]


def delta_values(thread_id: str, step: History) -> Values:
    """The columns of a step's delta, which names the messages that it has added by positions."""
    delta, positions = step.delta, positions_of(step)
    messages = delta.changes.messages
    bare = msgspec.structs.replace(delta.changes, messages=())
    stored: list[int | msgspec.Raw] = [
        positions[index] if index in positions else msgspec.Raw(encode(message))
        for index, message in enumerate(messages)
    ]
    changes = encode(bare)
    body = stored if changes == _NO_CHANGES else DeltaBody(msgspec.Raw(changes), stored)
    return {
        "thread_id": thread_id,
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
