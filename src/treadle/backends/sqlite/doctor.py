"""Examining a database file, in one transaction beside those who write to it.

There are three examinations, each for faults that the one before cannot see. SQLite checks its
pages and indexes, then every row is read into its model (`row_checks`), and then come the rules
between rows (`rules`).
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends.findings import Finding, Report, escape
from treadle.backends.sql.row_checks import RECORDS, ROW_CHECKS, RowCheck, examine_rows
from treadle.backends.sql.rules import Rule, findings_of, rules_of
from treadle.backends.sqlite._connection import closing, connect_beside_others, transaction
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._execution import TEXTS
from treadle.backends.sqlite.schema import check_current
from treadle.errors import CorruptRecord


def examine(path: str | os.PathLike[str]) -> Report:
    """Examine everything in a database file, as it is at one moment; nothing is changed.

    Raises:
        InvalidValue: it is a database of another program.
        SchemaTooNew: a newer Treadle wrote it.
        StoreUnavailable: it cannot be opened, or its schema has to be brought up to date first.
    """
    path = os.path.abspath(path)
    counts: Counter[str] = Counter({each.table: 0 for each in ROW_CHECKS})
    findings: list[Finding] = []
    try:
        with translate_errors(path), closing(connect_beside_others(path)) as connection:
            connection.text_factory = _decode_leniently
            with transaction(connection, "DEFERRED", Patience.of(CALL_SECONDS)):
                check_current(connection, path)
                findings += _examine_all(connection, os.path.basename(path), counts)
    except CorruptRecord as error:
        findings.append(Finding(path=os.path.basename(error.where), reason=escape(error.reason)))
    records = sum(counts[name] for name in RECORDS)
    unique = {(each.path, each.reason): each for each in findings}
    return Report(records=records, rows=dict(counts), findings=tuple(unique.values()))


def _examine_all(
    connection: sqlite3.Connection, name: str, counts: Counter[str]
) -> Iterable[Finding]:
    yield from _until_unreadable(name, _examine_pages(connection, name))
    for row_check in ROW_CHECKS:
        rows = _examine_rows(connection, row_check, counts)
        yield from _until_unreadable(row_check.table, rows)
    for rule in rules_of("sqlite"):
        yield from _until_unreadable(rule.table, _examine_rule(connection, rule))


def _examine_rows(
    connection: sqlite3.Connection, row_check: RowCheck, counts: Counter[str]
) -> Iterator[Finding]:
    cursor = connection.execute(TEXTS.of(row_check.query))
    columns = tuple(column for column, *_ in cursor.description)
    yield from examine_rows(row_check, columns, cursor, counts)


def _examine_rule(connection: sqlite3.Connection, rule: Rule) -> Iterator[Finding]:
    cursor = connection.execute(rule.query)
    columns = tuple(column for column, *_ in cursor.description)
    yield from findings_of(rule, columns, cursor)


def _examine_pages(connection: sqlite3.Connection, name: str) -> Iterator[Finding]:
    for (message,) in connection.execute("PRAGMA integrity_check(1000)"):
        if message != "ok":
            yield Finding(path=name, reason=escape("; ".join(message.splitlines())))


def _until_unreadable(table: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings, up to the first page that cannot be read."""
    try:
        yield from findings
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        yield Finding(path=table, reason=f"it cannot be read any further: {error}")


def _decode_leniently(data: bytes) -> str:
    # A text that is not UTF-8 is a finding of its row, and must not end the examination.
    return data.decode("utf-8", "surrogateescape")
