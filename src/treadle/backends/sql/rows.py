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
from treadle.backends.sql.program import Row
from treadle.backends.sql.tables import (
    BOOLEANS,
    CLAIM_COLUMNS,
    DOCUMENT_COLUMNS,
    ENTRY_FIELDS,
    FREE_TEXT,
    MAILBOX_COLUMNS,
    to_json,
)
from treadle.core.codec import Json, decode
from treadle.core.document_keys import check_key, split, split_row_key
from treadle.core.documents import Document
from treadle.core.ids import check_ids
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.errors import CorruptRecord, InvalidId

RecordT = TypeVar("RecordT")
StructT = TypeVar("StructT", bound=msgspec.Struct)
ReadRow: TypeAlias = Callable[[Row], RecordT]

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
_read_text = msgspec.json.Decoder(str).decode
_FREE_TEXT_OF_CLAIMS = tuple(name for name in CLAIM_COLUMNS if name in FREE_TEXT)
_FREE_TEXT_OF_ENTRIES = tuple(name for name in ENTRY_FIELDS if name in FREE_TEXT)
_FREE_TEXT_OF_MAILBOXES = tuple(name for name in MAILBOX_COLUMNS if name in FREE_TEXT)


def read_json(text: str | None) -> Json:
    """A JSON value from its text; None from none."""
    return None if text is None else msgspec.json.decode(text_of(text))


def text_of(value: object) -> str:
    """The value of a column of text.

    Raises:
        TypeError: it is not a text.
    """
    if not isinstance(value, str):  # msgspec would read bytes too
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def pair_list(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of an id and free text, as one value of a query."""
    return sorted([(key, to_json(text)) for key, text in pairs])


def document_list(row_keys: Iterable[str]) -> list[tuple[str, str]]:
    """Documents by their `row_key`, as one value of a query."""
    return sorted(map(split_row_key, row_keys))


def id_column(ids: Iterable[str]) -> str:
    """Ids, as one value of a row for a write."""
    return to_json(sorted(ids))


@contextmanager
def damage_of(record: str) -> Generator[None, None, None]:
    """Raise what the block raises for unreadable values as damage of a record.

    Raises:
        CorruptRecord: names the record.
    """
    try:
        yield
    except (CorruptRecord, InvalidId) as error:
        raise CorruptRecord(record, error.reason) from error
    except UNREADABLE as error:
        raise CorruptRecord(record, str(error)) from error


def naming_damage(kind: str) -> Callable[[ReadRow[RecordT]], ReadRow[RecordT]]:
    """Let a function that reads a row name it in its errors, by the first column."""
    return _naming(lambda row: f"{kind} {row[0]!r}")


def _naming(name_of: Callable[[Row], str]) -> Callable[[ReadRow[RecordT]], ReadRow[RecordT]]:
    def decorate(read: ReadRow[RecordT]) -> ReadRow[RecordT]:
        @wraps(read)
        def named(row: Row) -> RecordT:
            try:
                return read(row)
            except (CorruptRecord, InvalidId, *UNREADABLE):
                with damage_of(name_of(row)):
                    raise

        return named

    return decorate


def _document_name(row: Row) -> str:
    collection, key, *_ = row
    return f"document {(collection, *split(str(key)))}"


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


@naming_damage("mailbox entry")
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
    """Stands for a payload or value that was not loaded, which is not the same as null."""


_UNLOADED: Any = _Unloaded()


def has_payload(entry: MailboxEntry) -> bool:
    """Return True unless the entry was loaded without its payload."""
    return entry.payload is not _UNLOADED


@naming_damage("mailbox entry")
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
    _read_free_text(values, free_text)
    for name in BOOLEANS:
        if values[name] not in (0, 1):
            raise ValueError(f"{name} is {values[name]!r}, and it should be 0 or 1")
        values[name] = bool(values[name])
    return values


@naming_damage("mailbox")
def read_mailbox(row: Row) -> MailboxState:
    """A mailbox's state from the columns `MAILBOX_COLUMNS`."""
    values: dict[str, Any] = dict(zip(MAILBOX_COLUMNS, row, strict=True))
    extra = values.pop("extra")
    values[_EXTRA] = {} if extra is None else read_json(extra) or {}
    _read_free_text(values, _FREE_TEXT_OF_MAILBOXES)
    return _checked(values, MailboxState)


def _read_free_text(values: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if values[name] is not None:
            values[name] = _read_text(values[name])


@naming_damage("run")
def read_run(row: Row) -> RunRecord:
    """A run from its id and its body."""
    run_id, body = row
    run = decode(RunRecord, text_of(body))
    if run.run_id != run_id:
        raise ValueError(f"its body is that of run {run.run_id!r}")
    check_ids(run)
    return run


@_naming(_document_name)
def read_document(row: Row) -> Document:
    """A document from the columns `DOCUMENT_COLUMNS`."""
    *columns, extra, value = row
    return _document(columns, read_json(extra) or {}, read_json(text_of(value)))


@_naming(_document_name)
def read_document_head(row: Row) -> Document:
    """A document without its value, from the columns `DOCUMENT_COLUMNS` except the last two."""
    return _document(row, {}, _UNLOADED)


def has_value(document: Document) -> bool:
    """Return True unless the document was loaded without its value."""
    return document.value is not _UNLOADED


def _document(columns: Iterable[Any], extra: Json, value: Json) -> Document:
    values: dict[str, Any] = dict(zip(DOCUMENT_COLUMNS, columns, strict=False))
    values["key"] = split(text_of(values["key"]))
    values[_EXTRA], values["value"] = extra, value
    document = _checked(values, Document)
    check_key(document.key, "key")
    return document


def _checked(values: dict[str, Any], kind: type[StructT]) -> StructT:
    model = msgspec.convert(values, kind)
    check_ids(model)
    return model
