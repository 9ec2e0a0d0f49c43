"""Stores that sleep: other processes wake them, and forks and errors leave nothing behind."""

import asyncio
import os
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

import treadle
from treadle import Thread
from treadle.backends import _watch
from treadle.backends._live_file import _OpenFile
from treadle.backends._ring import Ring
from treadle.backends._sleepers import Sleeper
from treadle.backends.live import packets_of
from treadle.core.hints import ANYTHING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody sleeps on other systems")

SOON_SECONDS = 10
LONG = (60.0, 60.0)
URLS = {"files": "store", "sqlite": "sqlite:///store.db"}
each_kind = pytest.mark.parametrize("url", URLS.values(), ids=URLS)

WRITES = """
import asyncio, sys, treadle
from treadle import Thread

async def main(url):
    async with treadle.open_store(url) as store:
        for line in sys.stdin:
            match line.strip():
                case "send":
                    await store.mailboxes.send("box", 1)
                case "create":
                    await store.threads.ensure(Thread(id="t"))
                case "publish":
                    await store.live.publish("t", 1)
            print("done", flush=True)

asyncio.run(main(sys.argv[1]))
"""


DIES_IN_A_COMMIT = """
import asyncio, os, sys, treadle
from treadle.backends.files._replica import Replica

async def main(url):
    async with treadle.open_store(url) as store:
        Replica.write_files = lambda *arguments: os._exit(1)
        await store.mailboxes.send("box", 1)

asyncio.run(main(sys.argv[1]))
"""


@each_kind
async def test_a_child_that_is_forked_while_live_values_sleep_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("treadle.backends._live_file.ASLEEP_SECONDS", LONG)
    async with treadle.open_store(url) as store, store.live.follow("t") as values:
        await _let_sleep()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                opened = (os.readlink(each.path) for each in os.scandir("/proc/self/fd"))
                os._exit(sum(each.startswith(str(tmp_path)) for each in opened))
            assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        async with treadle.open_store(url) as other:
            await other.live.publish("t", 1)
            async with asyncio.timeout(SOON_SECONDS):
                assert await anext(values) == 1


@each_kind
async def test_a_store_sleeps_and_other_processes_wake_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Only a datagram can end these waits: the next look would come too late."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", LONG)
    monkeypatch.setattr("treadle.backends._live_file.ASLEEP_SECONDS", LONG)
    async with treadle.open_store(url) as store, store.live.follow("t") as values:
        await store.threads.ensure(Thread(id="u"))
        async with _writer(url) as process:
            await _let_sleep()
            waiting = asyncio.create_task(store.mailboxes.wait(60_000))
            await _let_sleep()
            await _do(process, "send")
            async with asyncio.timeout(SOON_SECONDS):
                await waiting
            hints = store.changes(thread_id="t")
            await anext(hints)
            await _let_sleep()
            await _do(process, "create")
            async with asyncio.timeout(SOON_SECONDS):
                assert (await anext(hints)).kind == "thread"
                await hints.aclose()
            for _ in range(3):
                await _let_sleep()
                await _do(process, "publish")
                async with asyncio.timeout(SOON_SECONDS):
                    assert await anext(values) == 1


async def test_a_live_value_just_before_sleep_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.backends._live_file.ASLEEP_SECONDS", LONG)
    begin_to_sleep = _OpenFile.begin_to_sleep
    left = 5

    def publish_and_begin_to_sleep(file: _OpenFile) -> Sleeper | None:
        nonlocal left
        if left > 0:
            left -= 1
            [packet] = packets_of([("t", msgspec.Raw(str(left).encode()))], "other", 1_000)
            file.ring.append(packet)  # by somebody who has seen nobody asleep
        return begin_to_sleep(file)

    monkeypatch.setattr(_OpenFile, "begin_to_sleep", publish_and_begin_to_sleep)
    async with treadle.open_store(tmp_path / "store") as store, store.live.follow("t") as values:
        async with asyncio.timeout(SOON_SECONDS):
            assert [await anext(values) for _ in range(5)] == [4, 3, 2, 1, 0]


async def test_a_live_file_goes_on_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("treadle.backends._live_file._RETRY_SECONDS", 0.01)
    end, fails, followers = Ring.end, True, set[threading.Thread]()

    def fail_once(ring: Ring) -> int:
        nonlocal fails
        if fails and threading.current_thread() in followers:
            fails = False
            raise OSError("of the disk")
        return end(ring)

    async with treadle.open_store(tmp_path / "store") as store, store.live.follow("t") as values:
        await _let_sleep()
        followers = {each for each in threading.enumerate() if each.name == "treadle-live"}
        monkeypatch.setattr(Ring, "end", fail_once)
        async with treadle.open_store(tmp_path / "store") as other:
            for number in range(3):
                await other.live.publish("t", number)
                async with asyncio.timeout(SOON_SECONDS):
                    assert await anext(values) == number
    assert "of the disk" in caplog.text


async def test_a_process_hears_what_it_has_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder, the next process writes the documents of one that died, and gives its hints."""
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", LONG)
    url = str(tmp_path / "store")
    async with treadle.open_store(url) as store:
        hints = store.changes()
        await anext(hints)
        dying = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES_IN_A_COMMIT, url)
        assert await dying.wait() == 1
        await _let_sleep()
        assert await store.mailboxes.list_entries(mailbox_id="box")
        async with asyncio.timeout(SOON_SECONDS):
            assert await anext(hints) == ANYTHING
        await hints.aclose()


async def _let_sleep() -> None:
    await asyncio.sleep(0.15)


@asynccontextmanager
async def _writer(url: str) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITES, url, stdin=PIPE, stdout=PIPE
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def _do(process: Process, action: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{action}\n".encode())
    assert await process.stdout.readline() == b"done\n"
