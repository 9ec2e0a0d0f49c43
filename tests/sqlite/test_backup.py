"""A copy is of one moment, complete and checked, or there is none."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sqlite.support import change, filled, in_store, look
from treadle import (
    AlreadyExists,
    CorruptRecord,
    InvalidValue,
    Message,
    Store,
    StoreUnavailable,
    Thread,
)
from treadle.backends.sqlite import backup
from treadle.backends.sqlite.backup import Backup, snapshot
from treadle.backends.sqlite.doctor import examine
from treadle.testing._harness.dump import read_everything


def copy(source: Path, target: Path) -> Backup:
    with snapshot(source) as found:
        return found.copy_to(target, lambda pages: None)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "store.db")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where the copy is to be: alone in a folder, so that what is left there is seen."""
    folder = tmp_path / "copies"
    folder.mkdir()
    yield folder / "copy.db"
    assert {path.name for path in folder.iterdir()} <= {"copy.db"}


def test_a_copy_holds_what_the_store_holds(store: Path, target: Path) -> None:
    copied = copy(store, target)
    assert copied.bytes == target.stat().st_size == copied.pages * 8192
    assert copied.rows["threads"] == 2
    assert copied.rows["entries"] == 9
    assert examine(target) == examine(store)
    read = {path: in_store(path, read_everything) for path in (store, target)}
    assert read[store] == read[target]
    for beside in (*target.parent.glob("copy.db-*"),):
        beside.unlink()


def test_a_copy_has_the_permissions_of_the_store(store: Path, target: Path) -> None:
    store.chmod(0o600)
    copy(store, target)
    assert os.name != "posix" or stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_existing_file_is_not_overwritten(store: Path, target: Path) -> None:
    target.write_text("mine")
    with pytest.raises(AlreadyExists, match="name another, or remove it"):
        copy(store, target)
    assert target.read_text() == "mine"
    target.unlink()
    target.symlink_to("nowhere")
    with pytest.raises(AlreadyExists):
        copy(store, target)
    target.unlink()
    with pytest.raises(AlreadyExists):
        copy(store, target.parent)


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_created_during_the_copy_is_not_overwritten(
    store: Path, target: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with snapshot(store) as found, pytest.raises(AlreadyExists):
        found.copy_to(target, lambda pages: write_to(target))
    assert target.read_text() == "mine"


def write_to(target: Path) -> None:
    target.write_text("mine")


def test_a_copy_works_on_a_disk_without_hard_links(
    store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse)
    copy(store, target)
    assert examine(target).findings == ()


def refuse(*arguments: object) -> None:
    raise PermissionError("no links here")


def test_a_copy_is_of_one_moment_while_others_write(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "store.db"
    in_store(path, make_forty)
    before = look(path, "SELECT * FROM threads")
    writes = 0

    def write(pages: int) -> None:
        """Between any two steps of the copy somebody commits, and the log is emptied."""
        nonlocal writes
        writes += 1
        change(
            path,
            "UPDATE threads SET updated_at = updated_at + 1",
            f"DELETE FROM messages WHERE thread_key = {writes}",
            "PRAGMA wal_checkpoint(PASSIVE)",
        )

    with snapshot(path) as found:
        write(0)
        copied = found.copy_to(target, write)
    assert writes > 5
    assert look(path, "SELECT * FROM threads") != before
    assert look(target, "SELECT * FROM threads") == before
    assert copied.rows["messages"] == 40
    assert examine(target).findings == ()


async def make_forty(store: Store) -> None:
    for number in range(40):
        message = Message(role="user", content="x" * 500_000)
        await store.threads.create(Thread(id=f"t{number}", messages=(message,)))


def test_a_copy_reports_its_progress(
    store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES", 5)
    steps: list[int] = []
    with snapshot(store) as found:
        found.copy_to(target, steps.append)
    assert len(steps) > 4
    assert sum(steps) == found.pages


def test_an_interrupted_copy_leaves_no_file(store: Path, target: Path) -> None:
    def stop(pages: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), snapshot(store) as found:
        found.copy_to(target, stop)
    assert not target.exists()


def test_a_damaged_store_has_no_copy(store: Path, target: Path) -> None:
    [(page,)] = look(store, "SELECT rootpage FROM sqlite_schema WHERE name = 'runs_by_age'")
    data = bytearray(store.read_bytes())
    data[(page - 1) * 8192 : (page - 1) * 8192 + 9] = b"\xaa" * 9
    store.write_bytes(data)
    with pytest.raises(CorruptRecord, match="its copy is damaged"):
        copy(store, target)
    assert not target.exists()


def test_a_copy_that_lacks_rows_is_noticed(
    store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = backup.Snapshot._copy_pages

    def lose_a_row(found: backup.Snapshot, part: str, advance: object) -> None:
        put(found, part, lambda pages: None)
        change(Path(part), "DELETE FROM queue_heads", "PRAGMA journal_mode = DELETE")

    monkeypatch.setattr(backup.Snapshot, "_copy_pages", lose_a_row)
    with pytest.raises(CorruptRecord, match="other numbers of rows"):
        copy(store, target)
    assert not target.exists()


def test_a_missing_or_foreign_file_cannot_be_copied(
    tmp_path: Path, store: Path, target: Path
) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        copy(tmp_path / "nothing.db", target)
    with pytest.raises(StoreUnavailable, match="nowhere"):
        copy(store, tmp_path / "nowhere" / "copy.db")
    change(tmp_path / "other.db", "CREATE TABLE notes (text)")
    with pytest.raises(InvalidValue, match="another program"):
        copy(tmp_path / "other.db", target)
    (tmp_path / "text.db").write_text("Dear diary\n" * 100)
    with pytest.raises(CorruptRecord, match="not a database"):
        copy(tmp_path / "text.db", target)


def test_a_full_disk_leaves_no_file(
    store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_to_full(path: str, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, **options)
        if path.endswith(".part"):
            connection.execute("PRAGMA max_page_count = 3")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_full)
    with pytest.raises(StoreUnavailable, match="full") as refused:
        copy(store, target)
    assert isinstance(refused.value.__cause__, sqlite3.Error)
    assert not target.exists()
