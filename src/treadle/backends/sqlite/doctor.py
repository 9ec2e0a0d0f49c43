"""What in a database file is not as it should be, read in one transaction beside those who write.

Three looks, each at what the one before cannot see: SQLite checks its pages and indexes; every row
is read into its model, and its columns are held against what the model says; then the rules that
hold between rows: no part without its whole, no gaps, each queue head the first entry that waits.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeAlias

import msgspec

from treadle.backends.sql.program import Values
from treadle.backends.sql.rows import (
    ENTRY_COLUMNS,
    message_values,
    patch_values,
    read_delta_body,
    read_entry,
    read_mailbox,
    read_run,
    read_thread,
    run_values,
    text_value,
)
from treadle.backends.sqlite.connection import (
    UNREADABLE,
    check_rows,
    connect_to_look,
    telling_errors,
    transaction,
)
from treadle.backends.sqlite.schema import check_owner, check_shape, find_missing_here
from treadle.core.codec import Model, checked, decode
from treadle.core.ids import check_id
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.threads import ThreadHead
from treadle.errors import CorruptRecord, InvalidId, StoreUnavailable

_DOCUMENTS = ("threads", "runs", "entries", "mailboxes")
_ENDLESS = "9223372036854775807"
"""When the lease of a claimed entry without one ends, as `refresh_lease` has it."""


class Finding(Model, frozen=True, kw_only=True):
    """What is not as it should be: where, as a path of the model's nouns, and why."""

    path: str
    reason: str


class Report(Model, frozen=True, kw_only=True):
    """How many documents a folder would hold, how many rows were read, and what was found."""

    documents: int
    rows: dict[str, int]
    findings: tuple[Finding, ...]


def examine(path: str | os.PathLike[str]) -> Report:
    """Look at everything in a database file, as it is at one moment; nothing is changed.

    Raises:
        InvalidValue: it is a database of another program.
        SchemaTooNew: a newer Treadle wrote it.
        StoreUnavailable: it cannot be opened, or its schema has to be brought up to date first.
    """
    path = os.path.abspath(path)
    counts: Counter[str] = Counter({table.name: 0 for table in _TABLES})
    findings: list[Finding] = []
    try:
        with telling_errors(path), closing(connect_to_look(path)) as connection:
            connection.text_factory = _lenient
            with transaction(connection, "DEFERRED"):
                _check_schema(connection, path)
                findings += _examine_pages(connection, os.path.basename(path))
                for table in _TABLES:
                    findings += _as_far_as_possible(
                        table.name, _examine_table(connection, table, counts)
                    )
                for rule in _RULES:
                    findings += _as_far_as_possible(rule.table, _examine_rule(connection, rule))
    except CorruptRecord as error:
        findings.append(Finding(path=os.path.basename(path), reason=_shown(error.reason)))
    documents = sum(counts[name] for name in _DOCUMENTS)
    return Report(documents=documents, rows=dict(counts), findings=_each_once(findings))


def _check_schema(connection: sqlite3.Connection, path: str) -> None:
    check_owner(connection, path)
    if find_missing_here(connection, path):
        raise StoreUnavailable(
            path, "its schema is older than this Treadle; run `treadle migrate` first"
        )
    check_shape(connection, path)


def _as_far_as_possible(table: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings, up to where the pages are damaged."""
    try:
        yield from findings
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        yield Finding(path=table, reason=f"it cannot be read any further: {error}")


def _each_once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple({(each.path, each.reason): each for each in findings}.values())


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# --- pages ----------------------------------------------------------------------------------------


def _examine_pages(connection: sqlite3.Connection, name: str) -> Iterator[Finding]:
    def look() -> Iterator[Finding]:
        for (told,) in connection.execute("PRAGMA integrity_check(1000)"):
            if told != "ok":
                yield Finding(path=name, reason=_shown("; ".join(told.splitlines())))

    return _as_far_as_possible(name, look())


# --- rows -----------------------------------------------------------------------------------------

Check: TypeAlias = Callable[[Values], Values]
"""Reads a row into its model; what the model says that some of its columns are."""


class _Table(msgspec.Struct, frozen=True):
    name: str
    place: str
    query: str
    check: Check


def _examine_table(
    connection: sqlite3.Connection, table: _Table, counts: Counter[str]
) -> Iterator[Finding]:
    cursor = connection.execute(table.query)
    columns = tuple(column for column, *_ in cursor.description)
    for row in cursor:
        counts[table.name] += 1
        values = dict(zip(columns, row, strict=True))
        reason = _examine_row(values, table.check)
        if reason is not None:
            yield Finding(path=_shown(table.place.format(**values)), reason=_shown(reason))


def _examine_row(values: Values, check: Check) -> str | None:
    """Why a row is not as it should be, or None."""
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
    thread = read_thread(row["body"], row["state"], row["updated_at"], (), ())
    checked(ThreadHead(thread=thread, version=row["version"]))
    return {
        "thread_id": thread.id,
        "resource_id": text_value(thread.resource_id),
        "parent_thread_id": thread.parent_thread_id,
    }


def _check_message(row: Values) -> Values:
    _check_types(row)
    wanted = message_values(row["thread_id"], row["position"], decode(Message, row["body"]))
    return _but_body(wanted)


def _check_patch(row: Values) -> Values:
    _check_types(row)
    wanted = patch_values(row["thread_id"], row["position"], decode(TrackedPatch, row["body"]))
    return _but_body(wanted)


def _check_delta(row: Values) -> Values:
    _check_types(row)
    _, places = read_delta_body(row["body"])
    for place in places:
        if isinstance(place, int) and not 0 <= place < row["message_count"]:
            raise ValueError(f"it names message {place}, which the thread does not have")
    return {}


def _check_run(row: Values) -> Values:
    check_id("run", row["run_id"])
    return _but_body(run_values(read_run(row["body"])))


def _check_mailbox(row: Values) -> Values:
    _check_types(row)
    check_id("mailbox", row["mailbox_id"])
    checked(read_mailbox(tuple(row.values())))
    return {}


def _check_entry(row: Values) -> Values:
    _check_types(row)
    check_id("entry", row["entry_id"])
    checked(read_entry(tuple(row.values())))
    return {}


def _but_body(wanted: Values) -> dict[str, Any]:
    return {column: value for column, value in wanted.items() if column != "body"}


def _part_of_thread(table: str, columns: str, more: str = "") -> str:
    """A query for rows that belong to threads; those without are told by a rule."""
    return (
        f"SELECT COALESCE(threads.thread_id, '#' || {table}.thread_key) AS thread_id, {columns}"  # noqa: S608
        f"{more} FROM {table} LEFT JOIN threads USING (thread_key)"
    )


_TABLES = (
    _Table(
        "threads",
        "threads/{thread_id}",
        "SELECT thread_id, version, updated_at, message_count, patch_count, resource_id,"
        " parent_thread_id, body, state FROM threads JOIN thread_bodies USING (thread_key)",
        _check_thread,
    ),
    _Table(
        "messages",
        "threads/{thread_id}/messages/{position}",
        _part_of_thread("messages", "position, message_id, visibility, run_id, body"),
        _check_message,
    ),
    _Table(
        "patches",
        "threads/{thread_id}/patches/{position}",
        _part_of_thread("patches", "position, body"),
        _check_patch,
    ),
    _Table(
        "deltas",
        "threads/{thread_id}/deltas/{version}",
        _part_of_thread(
            "deltas",
            "deltas.version AS version, committed_at, body",
            ", COALESCE(message_count, 0) AS message_count",
        ),
        _check_delta,
    ),
    _Table(
        "runs",
        "runs/{run_id}",
        "SELECT run_id, thread_id, parent_run_id, status, origin, termination_code, created_at,"
        " updated_at, body FROM runs",
        _check_run,
    ),
    _Table(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "SELECT mailbox_id, current_generation, updated_at, extra FROM mailboxes",
        _check_mailbox,
    ),
    _Table(
        "entries",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        f"SELECT {ENTRY_COLUMNS} FROM entries JOIN payloads USING (entry_key)",  # noqa: S608
        _check_entry,
    ),
    _Table(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "SELECT mailbox_id, priority, available_at, created_at, entry_id FROM queue_heads",
        _check_types,
    ),
)


# --- rules between rows ---------------------------------------------------------------------------


class _Rule(msgspec.Struct, frozen=True):
    """A query for what breaks a rule, and how that is told, with the columns of its rows."""

    table: str
    place: str
    reason: str
    query: str


def _examine_rule(connection: sqlite3.Connection, rule: _Rule) -> Iterator[Finding]:
    cursor = connection.execute(_BEFORE + rule.query)
    columns = tuple(column for column, *_ in cursor.description)
    for row in cursor:
        values = dict(zip(columns, row, strict=True))
        place, reason = rule.place.format(**values), rule.reason.format(**values)
        yield Finding(path=_shown(place), reason=_shown(reason))


def _rules_of_parts() -> Iterable[_Rule]:
    """Every part belongs to a thread."""
    for table, place in (
        ("thread_bodies", "threads/#{thread_key}"),
        ("messages", "threads/#{thread_key}/messages/{position}"),
        ("patches", "threads/#{thread_key}/patches/{position}"),
        ("deltas", "threads/#{thread_key}/deltas/{version}"),
    ):
        yield _Rule(
            table,
            place,
            "its thread is missing",
            f"SELECT * FROM {table} WHERE thread_key NOT IN (SELECT thread_key FROM threads)",  # noqa: S608
        )


def _rules_of_counts() -> Iterable[_Rule]:
    """A thread's messages and patches stand without gaps, up to as many as it counts.

    Messages begin at 0. Patches begin where a snapshot has left off, whose patches are gone.
    """
    for table, column in (("messages", "message_count"), ("patches", "patch_count")):
        counted = (
            f"SELECT thread_id, {column} AS told, COUNT(part.position) AS found,"  # noqa: S608
            " MIN(part.position) AS first, MAX(part.position) AS last"
            f" FROM threads LEFT JOIN {table} AS part USING (thread_key) GROUP BY thread_key"
        )
        yield _Rule(
            table,
            "threads/{thread_id}",
            f"it counts {{told}} {table}, and its last one stands at {{last}}",
            f"SELECT * FROM ({counted}) WHERE last <> told - 1",  # noqa: S608
        )
        yield _Rule(
            table,
            "threads/{thread_id}",
            f"its {{found}} {table} stand from {{first}} to {{last}}, with gaps",
            f"SELECT * FROM ({counted}) WHERE last - first + 1 <> found",  # noqa: S608
        )
    yield _Rule(
        "messages",
        "threads/{thread_id}",
        "it counts {told} messages, and the first one is missing",
        "SELECT thread_id, message_count AS told FROM threads WHERE message_count > 0"
        " AND thread_key NOT IN (SELECT thread_key FROM messages WHERE position = 0)",
    )


_BEFORE = f"""
WITH waiting AS (
    SELECT mailbox_id, priority, available_at, created_at, entry_id,
        ROW_NUMBER() OVER (
            PARTITION BY mailbox_id, priority ORDER BY available_at, created_at, entry_id
        ) AS place
    FROM entries WHERE status = 'queued'
),
heads AS (SELECT * FROM waiting WHERE place = 1),
leases AS (
    SELECT mailbox_id, MAX(COALESCE(lease_until, {_ENDLESS})) AS until
    FROM entries WHERE status = 'claimed' GROUP BY mailbox_id
)
"""  # noqa: S608
"""What the rules' queries may use: the heads that queues should have, and the mailboxes' leases."""

_RULES: tuple[_Rule, ...] = (
    *_rules_of_parts(),
    _Rule(
        "threads",
        "threads/{thread_id}",
        "its body is missing",
        "SELECT thread_id FROM threads"
        " WHERE thread_key NOT IN (SELECT thread_key FROM thread_bodies)",
    ),
    *_rules_of_counts(),
    _Rule(
        "deltas",
        "threads/{thread_id}",
        "it is at version {now}, and its {found} deltas lead to versions {first} to {last}",
        "SELECT thread_id, threads.version AS now, COUNT(*) AS found,"
        " MIN(deltas.version) AS first, MAX(deltas.version) AS last"
        " FROM threads JOIN deltas USING (thread_key) GROUP BY thread_key"
        " HAVING last <> now OR last - first + 1 <> found",
    ),
    _Rule(
        "payloads",
        "mailboxes/entries/#{entry_key}",
        "its payload is there, and it is missing",
        "SELECT entry_key FROM payloads WHERE entry_key NOT IN (SELECT entry_key FROM entries)",
    ),
    _Rule(
        "entries",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        "its payload is missing",
        "SELECT mailbox_id, entry_id FROM entries"
        " WHERE entry_key NOT IN (SELECT entry_key FROM payloads)",
    ),
    _Rule(
        "entries",
        "mailboxes/{mailbox_id}/entries/{entry_id}",
        "its mailbox is missing",
        "SELECT mailbox_id, entry_id FROM entries"
        " WHERE mailbox_id NOT IN (SELECT mailbox_id FROM mailboxes)",
    ),
    _Rule(
        "mailboxes",
        "mailboxes/{mailbox_id}",
        "its last lease ends at {found}, it says at {told}",
        "SELECT mailboxes.mailbox_id AS mailbox_id, until AS found, lease_until AS told"
        " FROM mailboxes LEFT JOIN leases USING (mailbox_id) WHERE lease_until IS NOT until",
    ),
    _Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "it is missing, and entry {entry_id} waits in it",
        "SELECT * FROM heads"
        " WHERE (mailbox_id, priority) NOT IN (SELECT mailbox_id, priority FROM queue_heads)",
    ),
    _Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "nothing waits in it, and it says that entry {entry_id} does",
        "SELECT * FROM queue_heads"
        " WHERE (mailbox_id, priority) NOT IN (SELECT mailbox_id, priority FROM heads)",
    ),
    _Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "its head is entry {head} at {head_at}, it says that it is {entry_id} at {available_at}",
        "SELECT queue_heads.*, heads.entry_id AS head, heads.available_at AS head_at"
        " FROM queue_heads JOIN heads USING (mailbox_id, priority)"
        " WHERE (queue_heads.entry_id, queue_heads.available_at, queue_heads.created_at)"
        " IS NOT (heads.entry_id, heads.available_at, heads.created_at)",
    ),
    _Rule(
        "queue_heads",
        "mailboxes/{mailbox_id}/queue_heads/{priority}",
        "it says that it is blocked: {blocked}; an entry of its mailbox is claimed: {held}",
        "SELECT mailbox_id, priority, blocked, lease_until IS NOT NULL AS held"
        " FROM queue_heads LEFT JOIN mailboxes USING (mailbox_id) WHERE blocked IS NOT held",
    ),
)
