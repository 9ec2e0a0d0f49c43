"""Examining rows: each is read into its model, and its columns are compared with the model."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from treadle.backends.findings import Finding, escape
from treadle.backends.sql._column_types import check_rows
from treadle.backends.sql._runs import times_of
from treadle.backends.sql.program import Read, Row, Values
from treadle.backends.sql.rows import UNREADABLE, read_document, read_entry, read_mailbox, read_run
from treadle.backends.sql.tables import (
    DOCUMENT_COLUMNS,
    ENTRIES,
    ENTRY_COLUMNS,
    MAILBOX_COLUMNS,
    RUNS,
    text_value,
)
from treadle.backends.sql.thread_rows import (
    MessageRow,
    ThreadRow,
    message_values,
    patch_values,
    read_delta_body,
    read_message,
    read_thread,
)
from treadle.core.codec import checked, decode
from treadle.core.ids import check_id
from treadle.core.messages import StoredMessage
from treadle.core.patches import TrackedPatch
from treadle.core.thread_summaries import sortable
from treadle.core.threads import ThreadHead
from treadle.errors import CorruptRecord, InvalidId

Check: TypeAlias = Callable[[Values], Values]
"""Reads a row into its model, and returns the values that some of its columns should have."""


class RowCheck(msgspec.Struct, frozen=True):
    """How the rows of a table are examined: by the query `examine_<table>`."""

    table: str
    path: str
    check: Check

    @property
    def query(self) -> Read:
        """The query for all rows of the table."""
        return Read(f"examine_{self.table}", {})


def examine_rows(
    row_check: RowCheck, columns: tuple[str, ...], rows: Iterable[Row], counts: Counter[str]
) -> Iterator[Finding]:
    """Examine rows of a table, and count them."""
    for row in rows:
        counts[row_check.table] += 1
        values = dict(zip(columns, row, strict=True))
        reason = _find_fault(values, row_check.check)
        if reason is not None:
            path = row_check.path.format(**values)
            yield Finding(path=escape(path), reason=escape(reason))


def _find_fault(values: Values, check: Check) -> str | None:
    """Say why a row is not as it should be; None if it is."""
    try:
        _check_text(values)
        wanted = check(values)
    except (CorruptRecord, InvalidId) as error:
        return error.reason
    except UNREADABLE as error:
        return str(error)
    for column, value in wanted.items():
        if values[column] != value:
            return f"{column} is {values[column]!r}, and its body says {value!r}"
    return None


def _check_text(values: Values) -> None:
    for column, value in values.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"{column} is not UTF-8") from error


def _check_types(row: Values) -> Values:
    check_rows(tuple(row), [tuple(row.values())])
    return {}


def _check_thread(row: Values) -> Values:
    _check_types(row)
    check_id("thread", row["thread_id"])
    columns = ThreadRow(row["version"], row["updated_at"], row["body"], row["state"])
    thread = read_thread(columns, (), ())
    checked(ThreadHead(thread=thread, version=row["version"]))
    return {
        "thread_id": thread.id,
        "created_at": sortable(thread.metadata.created_at),
        "changed_at": row["updated_at"],
        "changed_id": thread.id,
        "owner": text_value(thread.resource_id),
        "resource_id": text_value(thread.resource_id),
        "parent_thread_id": thread.parent_thread_id,
    }


def _check_message(row: Values) -> Values:
    _check_types(row)
    stored = _read_message(row)
    wanted = message_values({}, stored.cursor, stored.message, stored.committed_at)
    return _without_body(wanted)


def _check_removed_message(row: Values) -> Values:
    _check_types(row)
    _read_message(row)
    return {}


def _read_message(row: Values) -> StoredMessage:
    return read_message(tuple(row[name] for name in MessageRow.__struct_fields__))


def _check_patch(row: Values) -> Values:
    _check_types(row)
    wanted = patch_values({}, row["position"], decode(TrackedPatch, row["body"]))
    return _without_body(wanted)


def _check_delta(row: Values) -> Values:
    _check_types(row)
    _, messages = read_delta_body(row["body"])
    for position in messages:
        if isinstance(position, int) and not 0 <= position <= (row["last_position"] or 0):
            raise ValueError(f"it names message {position}, which the thread never had")
    return {}


def _check_run(row: Values) -> Values:
    check_id("run", row["run_id"])
    run = read_run((row["run_id"], row["body"]))
    return {
        **_without_body(RUNS.values(run)),
        **times_of(run),
        "owner": row["resource_id"],
    }


def _check_mailbox(row: Values) -> Values:
    _check_types(row)
    check_id("mailbox", row["mailbox_id"])
    checked(read_mailbox(tuple(row[name] for name in MAILBOX_COLUMNS)))
    return {}


def _check_entry(row: Values) -> Values:
    _check_types(row)
    check_id("entry", row["entry_id"])
    entry = read_entry(tuple(row[name] for name in ENTRY_COLUMNS))
    checked(entry)
    return {"ended_at": ENTRIES.values(entry)["ended_at"]}


def _check_document(row: Values) -> Values:
    _check_types(row)
    checked(read_document(tuple(row[name] for name in DOCUMENT_COLUMNS)))
    return {}


def _without_body(values: Values) -> dict[str, Any]:
    return {column: value for column, value in values.items() if column != "body"}


ROW_CHECKS = (
    RowCheck("threads", "threads/{thread_id}", _check_thread),
    RowCheck("messages", "threads/{thread_id}/messages/{position}", _check_message),
    RowCheck(
        "removed_messages",
        "threads/{thread_id}/removed_messages/{position}@{version}",
        _check_removed_message,
    ),
    RowCheck("patches", "threads/{thread_id}/patches/{position}", _check_patch),
    RowCheck("deltas", "threads/{thread_id}/deltas/{version}", _check_delta),
    RowCheck("runs", "runs/{run_id}", _check_run),
    RowCheck("mailboxes", "mailboxes/{mailbox_id}", _check_mailbox),
    RowCheck("entries", "mailboxes/{mailbox_id}/entries/{entry_id}", _check_entry),
    RowCheck("documents", "documents/{collection}/{key}", _check_document),
    RowCheck("queue_heads", "mailboxes/{mailbox_id}/queue_heads/{priority}", _check_types),
)

RECORDS = ("threads", "runs", "entries", "mailboxes", "documents")
"""The tables that have a row for each thing that users know."""
