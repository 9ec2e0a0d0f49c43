"""The SQL stays small: few statements have two versions, and few places name a column."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import treadle.backends
from treadle.backends.sql.row_checks import ROW_CHECKS
from treadle.backends.sql.tables import ENTRIES, MAILBOXES, PAYLOADS, PLAIN_WRITES, RUNS

BACKENDS = Path(treadle.backends.__file__).parent
FOLDERS = ("sql", "sqlite", "postgres")
TWINS = 10
PLACES_OF_A_COLUMN = 4
CHOSEN_BY = {
    "mailbox_id",
    "entry_id",
    "run_id",
    "thread_id",
    "priority",
    "status",
    "created_at",
    "updated_at",
    "available_at",
    "lease_until",
    "kind",
    "turn",
    "paused_at",
    "paused_until",
    "ended_at",
    "dedupe_key",
    "origin",
    "parent_run_id",
    "source_mailbox_entry_id",
    "extra",
    "headers",
    "body",
    "payload",
    "claimed_by",
    "last_error",
    "attempt_count",
    "sender_id",
}
"""Columns by which a statement, an index or a rule chooses rows, and those that hold JSON.

A new column is none of these at first: it is only written and read.
"""
COLUMNS = sorted(
    {column.name for table in (RUNS, MAILBOXES, ENTRIES, PAYLOADS) for column in table.columns}
    - CHOSEN_BY
)


def files(*endings: str) -> Iterator[Path]:
    for folder in FOLDERS:
        for ending in endings:
            yield from (BACKENDS / folder).rglob(f"*{ending}")


def names_of_statements() -> list[str]:
    return [
        path.name.removesuffix(".sql").split(".")[0]
        for path in files(".sql")
        if path.parent.name == "queries"
    ]


def test_few_statements_have_two_versions() -> None:
    names = names_of_statements()
    twins = {name for name in names if names.count(name) > 1}
    assert len(twins) <= TWINS, sorted(twins)


def test_no_file_repeats_what_the_columns_say() -> None:
    assert not set(names_of_statements()) & PLAIN_WRITES.keys()


def test_every_statement_is_used() -> None:
    described = BACKENDS / "sql" / "tables.py"
    code = "".join(path.read_text(encoding="utf-8") for path in files(".py") if path != described)
    examined = {f"examine_{check.table}" for check in ROW_CHECKS}
    for name in {*names_of_statements(), *PLAIN_WRITES} - examined:
        assert f'"{name}"' in code or f"{name}=" in code, name


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_only_holds_a_value_is_named_in_four_places(column: str) -> None:
    word = re.compile(rf"\b{column}\b")
    places = [
        f"{path.relative_to(BACKENDS)}:{number}: {line.strip()}"
        for path in files(".py", ".sql")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if word.search(line)
    ]
    assert len(places) <= PLACES_OF_A_COLUMN, "\n".join(places)


def test_the_columns_that_are_counted_are_most() -> None:
    assert len(COLUMNS) >= 8, COLUMNS


def test_every_fragment_of_a_text_is_described() -> None:
    source = (BACKENDS / "sql" / "_dialects.py").read_text(encoding="utf-8")
    _, description, code = source.split('"""', 2)
    known = set(re.findall(r'^            case "(\w+)":', code.split("def _rows")[0], re.MULTILINE))
    described = set(re.findall(r"`\{(\w+):", description))
    assert len(known) > 15
    assert known == described
