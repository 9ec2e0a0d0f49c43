"""The files beside a database are input too: SQLite opens none that is not what it should be."""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sqlite.support import filled, in_store
from treadle import CorruptRecord, StoreUnavailable, Thread
from treadle.backends.sqlite.backup import snapshot
from treadle.backends.sqlite.doctor import examine
from treadle.store.store import Store

PAGE = 8192
SECONDS = 20
"""Turns a hang into a failure."""
SUFFIXES = ("-wal", "-shm", "-journal", "-queue", "-lock")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and links beside a database")

STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a folder": lambda path, outside: path.mkdir(),
    "a link": lambda path, outside: path.symlink_to(outside),
    "a dangling link": lambda path, outside: path.symlink_to(outside.with_name("new")),
    "a hard link": lambda path, outside: path.hardlink_to(outside),
}
each_strange = pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)


async def use(store: Store) -> None:
    await asyncio.wait_for(store.threads.ensure(Thread(id="new")), SECONDS)
    await asyncio.wait_for(store.threads.list(), SECONDS)


@each_strange
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_beside_the_database_that_is_no_plain_file_is_named(
    tmp_path: Path, make: Callable[[Path, Path], object], suffix: str
) -> None:
    store, outside = filled(tmp_path / "store.db"), tmp_path / "outside"
    outside.write_bytes(b"mine")
    beside = Path(f"{store}{suffix}")
    beside.unlink(missing_ok=True)
    make(beside, outside)
    before = store.read_bytes()
    with pytest.raises(CorruptRecord, match=beside.name):
        in_store(store, use)
    assert [each.path for each in examine(store).findings] == [beside.name]
    with pytest.raises(CorruptRecord, match=beside.name), snapshot(store):
        pass
    assert (outside.read_bytes(), store.read_bytes()) == (b"mine", before)
    assert not (tmp_path / "new").exists()


@each_strange
def test_a_database_that_is_no_plain_file_is_unavailable(
    tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    store, outside = tmp_path / "store.db", tmp_path / "folder" / "outside"
    outside.parent.mkdir()
    outside.touch()
    make(store, outside)
    if store.is_symlink():  # links to a database may be opened
        in_store(store, use)
        return
    with pytest.raises(StoreUnavailable, match=r"plain file|hard link"):
        in_store(store, use)
    with pytest.raises(StoreUnavailable, match=r"plain file|hard link"):
        examine(store)
    assert outside.read_bytes() == b""


def test_a_journal_that_names_a_file_has_it_not_deleted(tmp_path: Path) -> None:
    store, outside = filled(tmp_path / "store.db"), tmp_path / "outside"
    outside.write_bytes(b"mine")
    journal = Path(f"{store}-journal")
    journal.write_bytes(naming(str(outside).encode(), store.stat().st_size // PAGE))
    with pytest.raises(CorruptRecord, match="names another journal"):
        in_store(store, use)
    with pytest.raises(CorruptRecord, match="names another journal"), snapshot(store):
        pass
    assert [each.path for each in examine(store).findings] == [journal.name]
    assert outside.read_bytes() == b"mine"
    journal.unlink()
    in_store(store, use)


def naming(name: bytes, pages: int) -> bytes:
    """Return a journal without pages that names another journal, in SQLite's format."""
    magic = bytes.fromhex("d9d505f920a163d7")
    header = magic + struct.pack(">5I", 0, 0, pages, 512, PAGE)
    page_of_locks = 2**30 // PAGE + 1
    end = struct.pack(">I", page_of_locks) + name + struct.pack(">2I", len(name), sum(name)) + magic
    return header.ljust(512, b"\0") + end
