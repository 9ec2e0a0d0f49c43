"""Sleeping until a file is written: a writer wakes, and a process that is not woken looks again."""

import asyncio
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

import treadle
from treadle import Thread
from treadle.backends import _sleepers, _watch
from treadle.backends._live_file import _OpenFile
from treadle.backends._sleepers import Sleeper, Sleepers
from treadle.backends._watch import Watch
from treadle.backends.live import packets_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody sleeps on other systems")

SOON_SECONDS = 10
LONG = (60.0, 60.0)
START = 128
URLS = {"files": "store", "sqlite": "sqlite:///store.db"}
each_kind = pytest.mark.parametrize("url", URLS.values(), ids=URLS)

SLEEPS = """
import sys, time
from treadle.backends._sleepers import Sleepers
sleeper = Sleepers(sys.argv[1], -1, int(sys.argv[2])).sleeper()
assert sleeper.sleep()
print("asleep", flush=True)
print("woken" if sleeper.wait(60) else "not woken", flush=True)
"""

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "lock"
    found.write_bytes(b"hints" * 10)
    return found


@pytest.fixture
def descriptors(path: Path) -> Iterator[list[int]]:
    found = [os.open(path, os.O_RDWR) for _ in range(2)]
    yield found
    for descriptor in found:
        os.close(descriptor)


@pytest.fixture
def here(path: Path, descriptors: list[int]) -> Sleepers:
    return Sleepers(str(path), descriptors[0], START)


@pytest.fixture
def elsewhere(path: Path, descriptors: list[int]) -> Sleepers:
    """The same file, as another store object has it open."""
    return Sleepers(str(path), descriptors[1], START)


@pytest.fixture
def sleeper(here: Sleepers) -> Iterator[Sleeper]:
    found = here.sleeper()
    assert found is not None
    yield found
    found.close()


def table(path: Path) -> bytes:
    return path.read_bytes()[START:]


def test_a_writer_wakes_those_who_sleep(path: Path, sleeper: Sleeper, elsewhere: Sleepers) -> None:
    assert sleeper.sleep()
    elsewhere.wake()
    assert sleeper.wait(SOON_SECONDS)
    assert not any(table(path))
    elsewhere.wake()
    assert not sleeper.wait(0)  # it does not sleep, so nobody wakes it


def test_the_beginning_of_the_file_stays(path: Path, sleeper: Sleeper, here: Sleepers) -> None:
    assert sleeper.sleep()
    here.wake()
    sleeper.rise()
    assert path.read_bytes().startswith(b"hints" * 10)


def test_nobody_wakes_those_of_the_same_object(sleeper: Sleeper, here: Sleepers) -> None:
    assert sleeper.sleep()
    here.wake()
    assert not sleeper.wait(0)


def test_one_wakes_itself(sleeper: Sleeper) -> None:
    assert sleeper.sleep()
    sleeper.wake()
    assert sleeper.wait(SOON_SECONDS)


def test_another_process_is_woken(path: Path, here: Sleepers) -> None:
    with _process(SLEEPS, str(path), str(START)) as process:
        assert _line(process) == "asleep"
        here.wake()
        assert _line(process) == "woken"


def test_the_name_of_a_process_that_died_goes_with_the_next_write(
    path: Path, here: Sleepers
) -> None:
    with _process(SLEEPS, str(path), str(START)) as process:
        assert _line(process) == "asleep"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert any(table(path))
    here.wake()
    assert not any(table(path))


def test_nobody_can_sleep_in_a_full_table(
    path: Path, sleeper: Sleeper, elsewhere: Sleepers
) -> None:
    path.write_bytes(bytes(START) + b"\xff" * 512)
    assert not sleeper.sleep()
    elsewhere.wake()  # nobody has these names, so they go
    assert sleeper.sleep()


@pytest.mark.parametrize("damage", [b"", bytes(START + 512), b"x" * (START + 3)], ids=len)
def test_sleep_goes_on_after_the_table_was_overwritten(
    path: Path, sleeper: Sleeper, elsewhere: Sleepers, damage: bytes
) -> None:
    assert sleeper.sleep()
    path.write_bytes(damage)
    elsewhere.wake()
    assert sleeper.sleep()
    elsewhere.wake()
    assert sleeper.wait(SOON_SECONDS)


def test_a_name_of_another_in_the_same_place_stays(path: Path, sleeper: Sleeper) -> None:
    assert sleeper.sleep()
    before = path.read_bytes()
    path.write_bytes(before.replace(sleeper._name, b"somebody"))
    sleeper.rise()
    assert b"somebody" in table(path)


def test_a_sleeper_that_nobody_wakes_does_not_sleep_for_a_while(
    sleeper: Sleeper, elsewhere: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper.was_missed()
    sleeper.was_woken()
    sleeper.was_missed()
    assert sleeper.sleep()
    sleeper.was_missed()
    assert not sleeper.sleep()
    later = time.monotonic() + _sleepers._DEAF_SECONDS
    monkeypatch.setattr("treadle.backends._sleepers.time.monotonic", lambda: later)
    assert sleeper.sleep()


@pytest.mark.parametrize("make", [Path.unlink, lambda path: (path.unlink(), path.mkdir())])
def test_nobody_sleeps_without_the_file(path: Path, here: Sleepers, make: object) -> None:
    make(path)  # type: ignore[operator]
    assert here.sleeper() is None


def test_a_forked_child_has_no_part_in_it(path: Path, sleeper: Sleeper, here: Sleepers) -> None:
    assert sleeper.sleep()
    child = os.fork()
    if child == 0:
        os._exit(0 if sleeper.fileno() == -1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert any(table(path))
    sleeper.wake()
    assert sleeper.wait(SOON_SECONDS)


def test_no_write_is_missed_between_a_look_and_sleep(sleeper: Sleeper, elsewhere: Sleepers) -> None:
    choose = Random(1)
    written, rounds = 0, 2_000

    def write() -> None:
        nonlocal written
        for number in range(1, rounds + 1):
            while seen != number - 1:
                time.sleep(0)
            time.sleep(choose.choice([0, 0, 1e-6, 1e-5, 1e-4]))
            written = number
            elsewhere.wake()

    seen = 0
    writing = threading.Thread(target=write)
    writing.start()
    while seen < rounds:
        assert sleeper.sleep()
        if written == seen:
            assert sleeper.wait(SOON_SECONDS), "a write has woken nobody"
        sleeper.rise()
        seen = written
    writing.join()


async def test_a_watch_does_not_look_while_it_sleeps(
    here: Sleepers, elsewhere: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", LONG)
    looks = position = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return position

    watch, changed = Watch(look, (0, 0), sleepers=lambda: here), asyncio.Event()
    watch.start(changed.set)
    await asyncio.sleep(0.1)
    before = looks
    await asyncio.sleep(0.2)
    assert looks == before
    for _ in range(5):
        position += 1
        elsewhere.wake()
        async with asyncio.timeout(SOON_SECONDS):
            await changed.wait()
        changed.clear()
    watch.stop(changed.set)


@pytest.fixture
def full_table(path: Path) -> None:
    path.write_bytes(bytes(START) + b"\xff" * 512)


@pytest.mark.usefixtures("full_table")
async def test_a_late_datagram_is_taken_in(here: Sleepers) -> None:
    """A writer sends it to one that has risen meanwhile, and that cannot sleep again."""
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return 0

    watch = Watch(look, LONG, sleepers=lambda: here)
    watch.start(do_nothing := lambda: None)
    (name,) = here._own
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\0", _sleepers._address(name))
    before = looks
    await asyncio.sleep(0.1)
    assert before < looks <= before + 3
    watch.stop(do_nothing)


def test_one_waits_with_a_high_descriptor(sleeper: Sleeper, elsewhere: Sleepers) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4_096), hard))
    low = sleeper._socket
    sleeper._socket = socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1_500))
    low.close()
    try:
        assert sleeper.sleep()
        elsewhere.wake()
        assert sleeper.wait(SOON_SECONDS)
    finally:
        sleeper.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_watch_that_nobody_wakes_looks_often(
    here: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", (0.001, 0.001))
    position, changed = 0, asyncio.Event()
    watch = Watch(lambda: position, (0, 0), sleepers=lambda: here)
    watch.start(changed.set)
    for _ in range(_sleepers._MOST_MISSED):
        await asyncio.sleep(0.05)
        position += 1
        async with asyncio.timeout(SOON_SECONDS):
            await changed.wait()
        changed.clear()
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", LONG)
    for _ in range(5):
        await asyncio.sleep(0.05)
        position += 1
        async with asyncio.timeout(SOON_SECONDS):
            await changed.wait()
        changed.clear()
    watch.stop(changed.set)


async def test_what_gives_no_hint_is_found_asleep(
    here: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", (0.01, 0.01))
    replaced, changed = 0, asyncio.Event()
    watch = Watch(lambda: 0, LONG, costly=lambda: replaced, sleepers=lambda: here)
    watch.start(changed.set)
    watch.wake()
    await asyncio.sleep(0.05)
    replaced += 1
    async with asyncio.timeout(SOON_SECONDS):
        await changed.wait()
    watch.stop(changed.set)


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
        with _process(WRITES, url) as process:
            await _let_sleep()
            waiting = asyncio.create_task(store.mailboxes.wait(60_000))
            await _let_sleep()
            await asyncio.to_thread(_do, process, "send")
            async with asyncio.timeout(SOON_SECONDS):
                await waiting
            hints = store.changes(thread_id="t")
            await anext(hints)
            await _let_sleep()
            await asyncio.to_thread(_do, process, "create")
            async with asyncio.timeout(SOON_SECONDS):
                assert (await anext(hints)).kind == "thread"
                await hints.aclose()
            for _ in range(3):
                await _let_sleep()
                await asyncio.to_thread(_do, process, "publish")
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


async def _let_sleep() -> None:
    await asyncio.sleep(0.15)


def _process(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _do(process: "subprocess.Popen[str]", action: str) -> None:
    assert process.stdin is not None
    process.stdin.write(action + "\n")
    process.stdin.flush()
    assert _line(process) == "done"
