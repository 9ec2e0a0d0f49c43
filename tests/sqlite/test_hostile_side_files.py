"""The files beside a database are input too: SQLite opens none that is not what it should be."""

import asyncio
import faulthandler
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sqlite.support import filled, in_store
from treadle import CorruptRecord, StoreUnavailable, Thread, TreadleError
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


@pytest.fixture(autouse=True)
def an_end() -> Generator[None]:
    """End the process if SQLite waits for a pipe."""
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


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


# --- changes at random ----------------------------------------------------------------------------

CRASH = """
import asyncio, os, sys, treadle
async def main():
    async with treadle.open_store("sqlite:///" + sys.argv[1]) as store:
        for key in ("a", "b"):
            await store.threads.create(treadle.Thread(id=key))
            await store.mailboxes.send(key, key)
        os._exit(0)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database whose only process has died, so that its log is there."""
    folder = tmp_path_factory.mktemp("crashed")
    command = [sys.executable, "-c", CRASH, str(folder / "store.db")]
    subprocess.run(command, check=True, timeout=60)
    assert (folder / "store.db-wal").stat().st_size > PAGE
    return folder


def change_at_random(path: Path, outside: Path, choose: random.Random) -> None:
    """Change a file beside the database, or put something else in its place."""
    data = bytearray(path.read_bytes() if path.exists() else b"")
    path.unlink(missing_ok=True)
    magic = bytes.fromhex("d9d505f920a163d7")
    ways: tuple[Callable[[], object], ...] = (
        *(lambda make=make: make(path, outside) for make in STRANGE.values()),
        lambda: path.write_bytes(data[: choose.randint(0, len(data))]),
        lambda: path.write_bytes(choose.randbytes(choose.randint(0, 2 * PAGE))),
        lambda: path.write_bytes(magic + choose.randbytes(PAGE)),
        lambda: path.write_bytes(naming(str(outside).encode(), choose.randint(0, 99))),
        lambda: path.write_bytes(flipped(data, choose)),
        lambda: path.write_bytes(flipped(data, choose)),
    )
    choose.choice(ways)()


def flipped(data: bytearray, choose: random.Random) -> bytes:
    for _ in range(min(len(data), 9)):
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("chunk", range(2))
def test_files_changed_at_random_beside_a_database_stop_no_call_and_change_nothing_outside(
    tmp_path: Path, crashed: Path, chunk: int
) -> None:
    for seed in range(40 * chunk, 40 * chunk + 40):
        choose = random.Random(seed)
        folder = tmp_path / str(seed) / "store"
        shutil.copytree(crashed, folder)
        outside = folder.parent / "outside"
        outside.write_bytes(b"mine")
        for suffix in choose.sample(SUFFIXES, choose.randint(1, 2)):
            change_at_random(folder / f"store.db{suffix}", outside, choose)
        with suppress(TreadleError):  # any other error is a fault of ours
            in_store(folder / "store.db", use)
        with suppress(TreadleError):
            examine(folder / "store.db")
        assert sorted(path.name for path in folder.parent.iterdir()) == ["outside", "store"], seed
        assert outside.read_bytes() == b"mine", seed
