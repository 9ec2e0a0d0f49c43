"""Files that are no store, not ours, or not accessible: each is reported and left unchanged."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sqlite.support import READS, change, filled, in_store, look, opened
from treadle import CorruptRecord, InvalidValue, StoreUnavailable, Thread, TreadleError
from treadle.backends.sqlite.doctor import examine
from treadle.store.store import Store

HEADER = b"SQLite format 3\x00"


async def read_all(store: Store) -> None:
    """Look at everything."""
    for read in READS.values():
        await read(store)


def write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def sql(*statements: str) -> Callable[[Path], object]:
    return lambda path: change(path, *statements)


def ours(*statements: str) -> Callable[[Path], object]:
    return lambda path: change(filled(path), *statements)


def cut(size: int) -> Callable[[Path], object]:
    return lambda path: os.truncate(filled(path), size)


NOT_OPENED: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a link into no folder": lambda path: path.symlink_to("nowhere/store.db"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}
NO_DATABASE: dict[str, Callable[[Path], object]] = {
    "random bytes": write(bytes(range(256)) * 100),
    "text": write(b"Dear diary,\n" * 100),
    "a few bytes": write(b"xyz"),
    "a header and nonsense": write(HEADER + b"\xff" * 8192),
    "a header alone": write(HEADER),
}
OF_ANOTHER: dict[str, Callable[[Path], object]] = {
    "another program's database": sql("CREATE TABLE notes (text)"),
    "another program's empty database": sql("PRAGMA application_id = 7", "VACUUM"),
    "another program's view": sql("CREATE VIEW one AS SELECT 1"),
}
ALTERED: dict[str, Callable[[Path], object]] = {
    "a trigger": ours(
        "CREATE TRIGGER evil AFTER INSERT ON messages BEGIN DELETE FROM threads; END"
    ),
    "a view": ours("CREATE VIEW evil AS SELECT load_extension('x')"),
    "a view in place of a table": ours(
        "DROP TABLE runs",
        "CREATE VIEW runs AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i FROM n",
    ),
    "a table is missing": ours("DROP TABLE patches"),
    "a table is another": ours("DROP TABLE patches", "CREATE TABLE patches (body)"),
    "a column is missing": ours("ALTER TABLE payloads DROP COLUMN payload"),
    "a column has another name": ours("ALTER TABLE entries RENAME COLUMN origin TO source"),
    "a column is too many": ours("ALTER TABLE entries ADD COLUMN more TEXT"),
    "an index is missing": ours("DROP INDEX entries_queued"),
    "an index of other columns": ours(
        "DROP INDEX queue_heads_ready", "CREATE INDEX queue_heads_ready ON queue_heads (blocked)"
    ),
    "the migrations are missing": ours("DROP TABLE migrations"),
    "no migration is listed": ours("DELETE FROM migrations"),
    "the migrations are none": ours(
        "DROP TABLE migrations", "CREATE TABLE migrations (number INTEGER PRIMARY KEY)"
    ),
    "a checksum that is a number": ours("UPDATE migrations SET checksum = 1"),
}
DAMAGED: dict[str, Callable[[Path], object]] = {
    "a schema that is no SQL": ours(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE NOTHING' WHERE name = 'runs'",
    ),
    "a schema that is not UTF-8": ours(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET name = CAST(x'ff' AS TEXT) WHERE name = 'runs_by_age'",
    ),
    "a root that is no page": ours(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'runs'",
    ),
    "half a file": cut(8192 * 12),
    "a page and a half": cut(8192 + 4096),
}


def refusal_of(path: Path) -> TreadleError:
    """How the file is refused; it stays as it was."""
    data = path.read_bytes() if path.is_file() else b""
    with pytest.raises(TreadleError) as refused:
        in_store(path, read_all)
    if path.is_file():
        assert path.read_bytes() == data
    assert str(path) in str(refused.value)
    return refused.value


@pytest.mark.parametrize("make", NOT_OPENED.values(), ids=NOT_OPENED)
def test_a_path_that_cannot_be_opened_is_unavailable(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "store.db")
    refusal = refusal_of(tmp_path / "store.db")
    assert isinstance(refusal, StoreUnavailable)
    assert isinstance(refusal.__cause__, sqlite3.Error | OSError)


@pytest.mark.parametrize("make", NO_DATABASE.values(), ids=NO_DATABASE)
def test_a_file_that_is_no_database_is_damaged(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "store.db")
    refusal = refusal_of(tmp_path / "store.db")
    assert isinstance(refusal, CorruptRecord)
    assert isinstance(refusal.__cause__, sqlite3.Error)


@pytest.mark.parametrize("make", OF_ANOTHER.values(), ids=OF_ANOTHER)
def test_a_database_of_another_program_is_refused(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "store.db")
    refusal = refusal_of(tmp_path / "store.db")
    assert isinstance(refusal, InvalidValue)
    assert "name another file" in str(refusal)


@pytest.mark.parametrize("make", ALTERED.values(), ids=ALTERED)
def test_an_altered_schema_is_damage(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "store.db")
    assert isinstance(refusal_of(tmp_path / "store.db"), CorruptRecord)
    assert examine(tmp_path / "store.db").findings != ()


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED)
def test_damage_is_reported(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "store.db")
    assert isinstance(refusal_of(tmp_path / "store.db"), CorruptRecord)
    assert examine(tmp_path / "store.db").findings != ()


def test_tables_of_others_beside_ours_are_left_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")
    change(
        path,
        "CREATE TABLE notes (text)",
        "CREATE INDEX runs_by_origin ON runs (origin)",
        "ANALYZE",
    )
    in_store(path, read_all)
    assert examine(path).findings == ()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    in_store(path, lambda store: store.threads.create(Thread(id="t")))
    assert in_store(path, lambda store: store.threads.list()).items == ("t",)


def test_a_file_in_place_of_the_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        in_store(tmp_path / "file" / "store.db", read_all)


async def test_a_link_opens_the_store_that_it_leads_to(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to("store.db")
    async with opened(link) as by_link, opened(tmp_path / "store.db") as direct:
        await by_link.threads.create(Thread(id="by-link"))
        await direct.threads.create(Thread(id="direct"))
        for store in (by_link, direct):
            assert (await store.threads.list()).items == ("by-link", "direct")
    assert link.is_symlink()
    assert examine(link).records == examine(tmp_path / "store.db").records == 2


# --- files and folders that may not be read or written --------------------------------------------

NOBODY = 65534


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that everybody may enter and write, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="treadle-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
        Path(folder).chmod(0o777)


@contextmanager
def as_nobody() -> Generator[None]:
    """Be somebody whom permissions stop; root is stopped by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


posix = pytest.mark.skipif(os.name != "posix", reason="permissions of files")


@posix
def test_a_file_without_read_permission_is_unavailable(shared_folder: Path) -> None:
    path = filled(shared_folder / "store.db")
    for file in shared_folder.iterdir():
        file.chmod(0o666)
    path.chmod(0)
    with as_nobody():
        with pytest.raises(StoreUnavailable, match="unable to open"):
            in_store(path, read_all)
        with pytest.raises(StoreUnavailable, match="unable to open"):
            examine(path)


@posix
def test_a_folder_that_may_not_be_entered_is_unavailable(shared_folder: Path) -> None:
    path = filled(shared_folder / "store.db")
    shared_folder.chmod(0)
    with as_nobody():
        with pytest.raises(StoreUnavailable):
            in_store(path, read_all)
        with pytest.raises(StoreUnavailable):
            examine(path)


@posix
def test_a_folder_without_write_permission_is_unavailable(shared_folder: Path) -> None:
    path = filled(shared_folder / "store.db")
    for file in shared_folder.iterdir():
        file.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    shared_folder.chmod(0o555)
    with as_nobody(), pytest.raises(StoreUnavailable):
        in_store(path, read_all)


@posix
def test_a_file_without_write_permission_can_be_read(shared_folder: Path) -> None:
    path = filled(shared_folder / "store.db")
    for file in shared_folder.iterdir():
        file.chmod(0o666)
    path.chmod(0o444)

    async def read_and_write(store: Store) -> None:
        await read_all(store)
        with pytest.raises(StoreUnavailable, match="readonly") as refused:
            await store.threads.create(Thread(id="new"))
        assert isinstance(refused.value.__cause__, sqlite3.Error)
        await read_all(store)

    with as_nobody():
        in_store(path, read_and_write)
    assert look(path, "SELECT COUNT(*) FROM threads") == [(2,)]
