"""`treadle migrate`."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.support import run, run_json
from treadle.backends.sql.migrations import Migration, all_migrations
from treadle.backends.sqlite import schema

DATABASE = "sqlite:///agents.db"
FIRST = all_migrations("sqlite")[0]
SECOND = Migration(number=2, name="notes", text="-- Notes.\nCREATE TABLE notes (body TEXT);\n")


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that lacks the second of two migrations."""
    monkeypatch.setattr(schema, "all_migrations", lambda dialect: (FIRST,))
    assert run("send", "m", "1", "--store", DATABASE).exit_code == 0
    monkeypatch.setattr(schema, "all_migrations", lambda dialect: (FIRST, SECOND))


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}


@pytest.mark.usefixtures("behind")
def test_status_lists_pending_migrations_and_applies_none(tmp_path: Path) -> None:
    lines = run("migrate", "--status", "--store", DATABASE).stdout.splitlines()
    assert lines[0] == "number\tname\tapplied"
    assert re.fullmatch(r"1\ttables\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lines[1])
    assert lines[2:] == ["2\tnotes\tpending"]
    [first, second] = run_json("migrate", "--status", "--store", DATABASE)["migrations"]
    assert first["applied_at"] > 1_000_000_000_000
    assert second == {"number": 2, "name": "notes", "applied_at": None}
    assert "notes" not in tables(tmp_path / "agents.db")


@pytest.mark.usefixtures("behind")
def test_sql_writes_missing_migrations_and_applies_none(tmp_path: Path) -> None:
    text = run("migrate", "--sql", "--store", DATABASE).stdout
    assert text == "-- 0002_notes\n\n-- Notes.\nCREATE TABLE notes (body TEXT);\n"
    assert run_json("migrate", "--sql", "--store", DATABASE)["sql"].rstrip() == text.rstrip()
    assert "notes" not in tables(tmp_path / "agents.db")


@pytest.mark.usefixtures("behind")
def test_migrate_brings_the_schema_up_to_date(tmp_path: Path) -> None:
    result = run("migrate", "--store", DATABASE)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "applied 0002_notes",
        f"{DATABASE} is up to date: 2 migrations",
    ]
    assert "notes" in tables(tmp_path / "agents.db")
    assert run("migrate", "--store", DATABASE).stdout == f"{DATABASE} is up to date: 2 migrations\n"
    assert run("migrate", "--sql", "--store", DATABASE).stdout == ""
    assert run_json("migrate", "--store", DATABASE)["applied"] == []


def test_migrating_creates_a_database_file_and_status_does_not(tmp_path: Path) -> None:
    report = run_json("migrate", "--status", "--store", DATABASE)
    assert {each["applied_at"] for each in report["migrations"]} == {None}
    lines = run("migrate", "--status", "--store", DATABASE).stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["applied", "pending", "pending"]
    text = run("migrate", "--sql", "--store", DATABASE).stdout
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(text)
    numbers = [each.number for each in all_migrations("sqlite")]
    assert run_json("migrate", "--store", DATABASE)["applied"] == numbers
    assert (tmp_path / "agents.db").exists()


@pytest.mark.parametrize("url", ["./folder", "memory:"])
def test_other_stores_have_nothing_to_migrate(url: str, tmp_path: Path) -> None:
    for words in ((), ("--status",), ("--sql",)):
        result = run("migrate", *words, "--store", url)
        assert result.exit_code == 0
        assert "there is nothing to migrate" in result.stdout
        assert run_json("migrate", *words, "--store", url) == {"migrations": [], "applied": []}
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_program_is_not_migrated(tmp_path: Path) -> None:
    assert run("migrate", "--sql", "--status", "--store", DATABASE).exit_code == 2
    result = run("migrate", "--store", "carrier-pigeon://x")
    assert result.exit_code == 1
    assert "there is no backend for 'carrier-pigeon'" in result.stderr
    with closing(sqlite3.connect(tmp_path / "agents.db")) as connection:
        connection.execute("CREATE TABLE notes (text)")
    for words in ((), ("--status",), ("--sql",)):
        result = run("migrate", *words, "--store", DATABASE)
        assert result.exit_code == 1
        assert "is a database of another program" in result.stderr


def test_a_newer_schema_is_an_error() -> None:
    assert run("migrate", "--store", DATABASE).exit_code == 0
    with closing(sqlite3.connect("agents.db")) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (99, 'later', 'x', 1)")
    for words in ((), ("--status",), ("--sql",)):
        result = run("migrate", *words, "--store", DATABASE)
        assert result.exit_code == 1
        assert "upgrade Treadle to open it" in result.stderr
