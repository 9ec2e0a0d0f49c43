"""The schema: created, migrated completely or not at all, and refused if it is not ours."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.sqlite.support import change, filled, in_store, look
from treadle import CorruptRecord, Message, SchemaTooNew, Store, StoreUnavailable, Thread
from treadle.backends._deadline import Patience
from treadle.backends.sql.migrations import Migration, all_migrations
from treadle.backends.sqlite import schema
from treadle.backends.sqlite.doctor import examine
from treadle.backends.sqlite.schema import migration_states, missing_migrations

KNOWN = all_migrations("sqlite")
NEXT = Migration(
    number=KNOWN[-1].number + 1,
    name="notes",
    text="-- What may be noted.\nCREATE TABLE notes (body TEXT);\n"
    "ALTER TABLE runs ADD COLUMN note TEXT;\n",
)
DIALECTS = ("sqlite", "postgres")


def know(monkeypatch: pytest.MonkeyPatch, *migrations: Migration) -> None:
    """Let Treadle come with these migrations."""
    monkeypatch.setattr(schema, "all_migrations", lambda dialect: migrations)


def schema_of(path: Path) -> list[tuple[str, ...]]:
    return look(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY name")


async def nothing(store: object) -> None:
    """Open and close."""


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    newest = all_migrations("sqlite")[-1].number
    change(path, f"INSERT INTO migrations VALUES ({newest + 1}, 'later', 'x', 1)")
    with pytest.raises(SchemaTooNew) as refused:
        in_store(path, nothing)
    assert (refused.value.found, refused.value.supported) == (newest + 1, newest)
    with pytest.raises(SchemaTooNew):
        migration_states(str(path))


def test_a_migration_that_was_changed_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    change(path, "UPDATE migrations SET checksum = 'x' WHERE number = 1")
    with pytest.raises(CorruptRecord, match="migration 0001_tables differs"):
        in_store(path, nothing)


def test_an_unknown_migration_number_is_reported(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    change(path, "UPDATE migrations SET number = 0 WHERE number = 1")
    with pytest.raises(CorruptRecord, match="number 0, which does not exist"):
        in_store(path, nothing)


def test_a_migration_that_was_left_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, *KNOWN, NEXT)
    path = filled(tmp_path / "store.db")
    change(path, "DELETE FROM migrations WHERE number = 1")
    with pytest.raises(CorruptRecord, match="migration 0001_tables was left out"):
        in_store(path, nothing)


def test_opening_a_store_migrates_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(tmp_path / "store.db")
    know(monkeypatch, *KNOWN, NEXT)
    assert missing_migrations(str(path)) == (NEXT,)
    missing = [state for state in migration_states(str(path)) if state.applied_at is None]
    assert [state.number for state in missing] == [NEXT.number]
    with pytest.raises(
        StoreUnavailable, match="older than this Treadle; run `treadle migrate` first"
    ):
        examine(path)
    in_store(path, nothing)
    assert look(path, "SELECT COUNT(*) FROM notes") == [(0,)]
    assert missing_migrations(str(path)) == ()
    assert examine(path).findings == ()


BROKEN = {
    "no SQL": "CREATE TABLE notes (body TEXT);\nCREATE NOTHING;",
    "a rule that rows break": "CREATE TABLE notes (body TEXT);\n"
    "CREATE UNIQUE INDEX runs_once ON entries (origin);",
    "a table that is there": "ALTER TABLE runs ADD COLUMN note TEXT;\nCREATE TABLE runs (a);",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_migration_that_fails_leaves_the_old_schema_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = filled(tmp_path / "store.db")
    before, pages = schema_of(path), path.read_bytes()
    broken = Migration(number=NEXT.number, name="broken", text=text)
    with monkeypatch.context() as patch:
        know(patch, *KNOWN, broken)
        with pytest.raises(
            (StoreUnavailable, CorruptRecord), match=f"migration {broken.label} failed"
        ) as refused:
            in_store(path, nothing)
        assert isinstance(refused.value.__cause__, sqlite3.Error)
        assert schema_of(path) == before
        assert path.read_bytes() == pages
        with pytest.raises((StoreUnavailable, CorruptRecord), match=broken.label):
            in_store(path, nothing)
    assert in_store(path, lambda store: store.threads.load("t")) is not None
    assert examine(path).findings == ()


def test_a_new_file_whose_last_migration_fails_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as patch:
        broken = Migration(number=NEXT.number, name="broken", text="CREATE NOTHING;")
        know(patch, *KNOWN, broken)
        with pytest.raises(StoreUnavailable, match=broken.label):
            in_store(path, nothing)
    assert schema_of(path) == []
    filled(path)
    assert examine(path).findings == ()


def test_opening_a_file_switches_it_to_write_ahead_mode(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    change(path, "PRAGMA journal_mode = DELETE")
    in_store(path, nothing)
    assert look(path, "PRAGMA journal_mode") == [("wal",)]


def test_opening_a_migrated_store_writes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    before = path.read_bytes()
    in_store(path, nothing)
    assert path.read_bytes() == before


OPEN = """
import asyncio, sys, treadle
async def main():
    async with treadle.open_store("sqlite:///" + sys.argv[1]) as store:
        print("open", flush=True)
        await store.threads.create(treadle.Thread(id=sys.argv[2]))
sys.stdin.readline()
asyncio.run(main())
"""


def open_at_once(paths: list[Path]) -> None:
    """Open a store under several names, in as many processes, at the same moment."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path), f"t{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, path in enumerate(paths)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    results = [(*child.communicate(timeout=120), child.returncode) for child in children]
    assert results == [("open\n", "", 0)] * len(paths)


@pytest.mark.parametrize("attempt", range(2))
def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "store.db"
    open_at_once([path] * 6)
    page = in_store(path, lambda store: store.threads.list())
    assert page.items == tuple(f"t{number}" for number in range(6))
    assert look(path, "SELECT COUNT(*) FROM migrations") == [(len(all_migrations("sqlite")),)]


def test_processes_that_open_it_under_other_names_succeed_too(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    links = [tmp_path / f"link{number}.db" for number in range(4)]
    for link in links:
        link.symlink_to(path)
    open_at_once([path, *links])
    page = in_store(path, lambda store: store.threads.list())
    assert len(page.items) == 5


def test_a_switch_to_write_ahead_mode_waits_for_other_connections(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    change(path, "PRAGMA journal_mode = DELETE")
    holder = sqlite3.connect(path, isolation_level=None)
    tries: list[str] = []

    class Trying(sqlite3.Connection):
        def execute(self, text: str, *arguments: Any) -> sqlite3.Cursor:
            if "journal_mode" in text:
                tries.append(text)
                if len(tries) == 3:
                    holder.execute("COMMIT")
            return super().execute(text, *arguments)

    with (
        closing(holder),
        closing(Trying(path, isolation_level=None, timeout=0)) as connection,
    ):
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM runs").fetchall()
        schema.prepare(connection, str(path), lambda: 1, Patience.of(60))
    assert len(tries) == 3
    assert look(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_migration_is_known_by_what_it_does_and_not_by_its_comments() -> None:
    plain = Migration(1, "one", "CREATE TABLE a (b TEXT);\nCREATE TABLE c (d TEXT);\n")
    commented = Migration(
        1, "one", "-- why\nCREATE TABLE a (b TEXT);\nCREATE TABLE c\n    (d TEXT);\n"
    )
    other = Migration(1, "one", "CREATE TABLE a (b TEXT);\nCREATE TABLE c (d BLOB);\n")
    assert commented.checksum == plain.checksum != other.checksum


def test_a_migration_for_another_database_is_left_out() -> None:
    numbers = {dialect: {each.number for each in all_migrations(dialect)} for dialect in DIALECTS}
    assert numbers["sqlite"] - numbers["postgres"] == {2}


async def of_several_owners(store: Store) -> None:
    for number, name in enumerate("cadb"):
        owner = "ann" if number % 2 else None
        await store.threads.create(Thread(id=name, resource_id=owner), now=number)
    await store.threads.append("c", Message.user("Hi"), now=7)


async def newest(store: Store) -> list[list[str]]:
    """The threads that changed last, of all owners and of one."""
    pages = [
        await store.threads.list_summaries(by="updated_at", order="desc", resource_id=owner)
        for owner in (None, "ann")
    ]
    return [[head.id for head in page.items] for page in pages]


def test_the_times_of_threads_move_into_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    with monkeypatch.context() as patch:
        know(patch, KNOWN[0])
        in_store(path, of_several_owners)
    change(
        path,
        "INSERT INTO thread_times SELECT thread_key, updated_at, thread_id, resource_id"
        " FROM threads",
    )
    assert in_store(path, newest) == [["c", "b", "d", "a"], ["b", "a"]]
    assert look(path, "SELECT 1 FROM sqlite_schema WHERE name LIKE '%thread_times%'") == []
    assert examine(path).findings == ()
    fresh = tmp_path / "fresh.db"
    in_store(fresh, nothing)
    assert schema_of(path) == schema_of(fresh)
