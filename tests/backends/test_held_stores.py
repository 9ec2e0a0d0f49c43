"""A store that somebody else keeps: each wait for it has an end, and the error names the holder."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import portalocker
import pytest

from treadle import Store, StoreUnavailable, Thread
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.doctor import examine
from treadle.backends.sqlite.backend import SqliteBackend

PATIENCE_SECONDS = 0.2
SOON_SECONDS = 10.0
"""An upper bound that turns a hang into a failure."""

LOCKS = {
    "files": ("_treadle/lock", "_treadle/queue"),
    "sqlite": ("store.db-lock", "store.db-queue"),
}
KINDS = pytest.mark.parametrize("kind", LOCKS)
EACH_LOCK = pytest.mark.parametrize(
    ("kind", "lock"), [(kind, lock) for kind, locks in LOCKS.items() for lock in locks]
)

STOPS_IN_MID_COMMIT = """
import asyncio, os, signal, sys, time
from pathlib import Path
from treadle import Store, Thread, system_clock
from treadle.testing.builtin_subjects import make_stepping_files, make_stepping_sqlite

async def main(kind, folder):
    make = {"files": make_stepping_files, "sqlite": make_stepping_sqlite}[kind]
    is_writing = False
    def step():
        nonlocal is_writing
        if is_writing:
            is_writing = False
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.2)  # another thread may take the signal: do not go on until then
    async with Store(make(folder, system_clock, step)) as store:
        is_writing = True
        await store.threads.ensure(Thread(id="stopped"))

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""

WRITES = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("begun", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def closing_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("files._engine", "sqlite.backend"):
        monkeypatch.setattr(f"treadle.backends.{module}.CLOSE_SECONDS", PATIENCE_SECONDS)


def store_of(kind: str, folder: Path, seconds: float = PATIENCE_SECONDS) -> Store:
    if kind == "files":
        return Store(FilesBackend(folder, call_seconds=seconds))
    return Store(SqliteBackend(folder / "store.db", call_seconds=seconds))


@contextmanager
def held(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        yield


@contextmanager
def stopped_in_mid_commit(kind: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", STOPS_IN_MID_COMMIT, kind, str(folder)]
    with subprocess.Popen(command) as child:
        try:
            _, status = os.waitpid(child.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            yield child
        finally:
            child.kill()


def threads_and_files() -> tuple[set[str], set[str]]:
    links = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            links.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    names = {each.name for each in threading.enumerate() if each.name.startswith("treadle")}
    return names, links


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/locks is Linux's")
@KINDS
async def test_a_process_stopped_in_mid_commit_is_named_and_nobody_waits_for_it_for_ever(
    kind: str, tmp_path: Path
) -> None:
    async with store_of(kind, tmp_path) as store:
        with stopped_in_mid_commit(kind, tmp_path) as child:
            calls: list[Awaitable[object]] = [
                store.threads.ensure(Thread(id="mine")),
                store.mailboxes.claim(consumer="w"),
            ]
            if kind == "files":
                calls.append(store.threads.list())
            for call in calls:
                with pytest.raises(StoreUnavailable) as refused:
                    await asyncio.wait_for(call, SOON_SECONDS)
                assert f"process {child.pid} (python" in str(refused.value)
                assert ", which is stopped) has kept the lock" in str(refused.value)
            with pytest.raises(StoreUnavailable, match=str(child.pid)):
                await store_of(kind, tmp_path).open()
            child.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(child.wait, SOON_SECONDS) == 0
        assert "stopped" in (await store.threads.list()).items
        await store.threads.ensure(Thread(id="mine"))


@EACH_LOCK
async def test_open_stores_go_on_once_a_lock_is_free_again(
    kind: str, lock: str, tmp_path: Path
) -> None:
    async with store_of(kind, tmp_path, seconds=60) as store:
        with held(tmp_path / lock):
            appending = asyncio.ensure_future(store.threads.ensure(Thread(id="a")))
            await asyncio.wait({appending}, timeout=0.05)
            assert not appending.done()
        await asyncio.wait_for(appending, SOON_SECONDS)


@EACH_LOCK
async def test_opening_a_held_store_ends_at_the_deadline_and_names_the_lock(
    kind: str, lock: str, tmp_path: Path
) -> None:
    async with store_of(kind, tmp_path):
        pass
    before = threads_and_files()
    with held(tmp_path / lock):
        with pytest.raises(StoreUnavailable) as refused:
            await asyncio.wait_for(store_of(kind, tmp_path).open(), SOON_SECONDS)
        assert str(tmp_path / lock) in str(refused.value)
    assert threads_and_files() == before


@EACH_LOCK
async def test_a_cancelled_opening_ends_at_once_and_leaves_nothing_behind(
    kind: str, lock: str, tmp_path: Path
) -> None:
    async with store_of(kind, tmp_path):
        pass
    before = threads_and_files()
    with held(tmp_path / lock):
        file = threads_and_files()
        opening = asyncio.ensure_future(store_of(kind, tmp_path, seconds=600).open())
        await asyncio.wait({opening}, timeout=0.05)
        opening.cancel()
        await asyncio.wait({opening}, timeout=SOON_SECONDS)
        assert opening.cancelled()
        assert threads_and_files() == file
    assert threads_and_files() == before


@EACH_LOCK
async def test_cancelled_calls_do_not_keep_a_store_from_closing(
    kind: str, lock: str, tmp_path: Path
) -> None:
    before = threads_and_files()
    store = await store_of(kind, tmp_path, seconds=600).open()
    with held(tmp_path / lock):
        calls = [
            asyncio.ensure_future(store.threads.ensure(Thread(id=name))) for name in ("a", "b")
        ]
        await asyncio.wait(calls, timeout=0.05)
        for call in calls:
            call.cancel()
        await asyncio.wait_for(store.close(), SOON_SECONDS)
    assert threads_and_files() == before
    async with store_of(kind, tmp_path) as again:
        assert (await again.threads.list()).items == ()


@KINDS
async def test_what_was_acknowledged_is_there_after_closing_a_held_store(
    kind: str, tmp_path: Path
) -> None:
    store = await store_of(kind, tmp_path).open()
    await store.threads.ensure(Thread(id="a"))
    with held(tmp_path / LOCKS[kind][0]):
        await store.close()
    async with store_of(kind, tmp_path) as again:
        assert (await again.threads.list()).items == ("a",)


def test_doctor_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treadle.backends.files.doctor.CALL_SECONDS", PATIENCE_SECONDS)
    (tmp_path / "_treadle").mkdir()
    with held(tmp_path / "_treadle/lock"), pytest.raises(StoreUnavailable, match="_treadle/lock"):
        examine(tmp_path)


async def test_a_foreign_writer_of_a_database_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with store_of("sqlite", tmp_path) as store:
        command = [sys.executable, "-c", WRITES, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:  # noqa: ASYNC220
            assert child.stdout is not None
            child.stdout.readline()
            calls: list[Awaitable[object]] = [
                store.threads.ensure(Thread(id="a")),
                store.mailboxes.claim(consumer="w"),
            ]
            for call in calls:
                with pytest.raises(StoreUnavailable, match="holds the file for writing") as refused:
                    await asyncio.wait_for(call, SOON_SECONDS)
                assert f"(process {child.pid}" in str(refused.value)
            assert (await store.threads.list()).items == ()
            child.kill()
        await store.threads.ensure(Thread(id="a"))


async def test_a_foreign_program_that_keeps_a_database_file_to_itself_does_not_hang_the_opening(
    tmp_path: Path,
) -> None:
    async with store_of("sqlite", tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as foreign:
        foreign.execute("PRAGMA locking_mode = EXCLUSIVE")
        foreign.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="holds the file"):
            await asyncio.wait_for(store_of("sqlite", tmp_path).open(), SOON_SECONDS)
        opening = asyncio.ensure_future(store_of("sqlite", tmp_path, seconds=600).open())
        await asyncio.wait({opening}, timeout=0.1)
        opening.cancel()
        await asyncio.wait({opening}, timeout=SOON_SECONDS)
        assert opening.cancelled()


@KINDS
def test_a_command_that_waits_for_a_held_store_ends_at_the_first_ctrl_c(
    kind: str, tmp_path: Path
) -> None:
    url = str(tmp_path) if kind == "files" else f"sqlite:///{tmp_path}/store.db"

    async def create() -> None:
        async with store_of(kind, tmp_path):
            pass

    asyncio.run(create())
    lock = tmp_path / LOCKS[kind][0]
    with held(lock):
        command = [sys.executable, "-m", "treadle", "--store", url, "send", "box", "1"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
            opened = Path(f"/proc/{child.pid}/fd")
            end = time.monotonic() + SOON_SECONDS
            while not any(each.resolve() == lock for each in opened.iterdir()):
                assert time.monotonic() < end
                time.sleep(0.01)
            child.send_signal(signal.SIGINT)
            assert child.wait(SOON_SECONDS) == 130
