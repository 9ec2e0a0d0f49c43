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

import pytest

from treadle.backends import _sleepers, _watch
from treadle.backends._sleepers import Sleeper, Sleepers
from treadle.backends._watch import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody sleeps on other systems")

SOON_SECONDS = 10
LONG = (60.0, 60.0)
START = 128

SLEEPS = """
import sys, time
from treadle.backends._sleepers import Sleepers
sleeper = Sleepers(sys.argv[1], -1, int(sys.argv[2])).sleeper()
assert sleeper.sleep()
print("asleep", flush=True)
print("woken" if sleeper.wait(60) else "not woken", flush=True)
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
def full_table(path: Path) -> None:
    network = _sleepers._network()
    names = [network + b"dead" + bytes([number]) for number in range(64)]
    path.write_bytes(bytes(START) + b"".join(names))


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


@pytest.mark.usefixtures("full_table")
def test_nobody_can_sleep_in_a_full_table(sleeper: Sleeper, elsewhere: Sleepers) -> None:
    assert not sleeper.sleep()
    elsewhere.wake()  # nobody has these names, so they go
    assert sleeper.sleep()


def test_names_of_another_network_stay_until_there_is_no_other_place(
    path: Path, sleeper: Sleeper, elsewhere: Sleepers
) -> None:
    network = _sleepers._network()
    other = bytes([network[0] ^ 1]) + network[1:]
    names = [other + bytes([0, 0, 0, 0, number]) for number in range(1, 65)]
    path.write_bytes(bytes(START) + b"".join(names))
    elsewhere.wake()
    assert all(name in table(path) for name in names)
    assert sleeper.sleep()
    assert sum(name in table(path) for name in names) == 63
    elsewhere.wake()
    assert sleeper.wait(SOON_SECONDS)


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
    now = 0.0
    monkeypatch.setattr("treadle.backends._sleepers.time.monotonic", lambda: now)
    sleeper.was_missed()
    sleeper.was_woken()  # late: it is the datagram of that write
    sleeper.was_missed()
    assert sleeper.sleep()
    now += 1
    sleeper.was_woken()  # by somebody else
    sleeper.was_missed()
    assert not sleeper.sleep()
    now += _sleepers._DEAF_SECONDS
    assert sleeper.sleep()
    sleeper.was_missed()
    now += _sleepers._DEAF_SECONDS
    sleeper.was_missed()
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


async def until_asleep(path: Path) -> None:
    """Return once somebody sleeps until the file is written."""
    async with asyncio.timeout(SOON_SECONDS):
        while not any(table(path)):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_watch_does_not_look_while_it_sleeps(
    path: Path, here: Sleepers, elsewhere: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", LONG)
    looks = position = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return position

    watch, changed = Watch(look, (0, 0), sleepers=lambda: here), asyncio.Event()
    watch.start(changed.set)
    await until_asleep(path)
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


@pytest.mark.usefixtures("full_table")
async def test_a_datagram_to_one_that_cannot_sleep_does_nothing(here: Sleepers) -> None:
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return 0

    watch = Watch(look, LONG, sleepers=lambda: here)
    watch.start(do_nothing := lambda: None)
    watch.wake()
    await asyncio.sleep(0)
    before = looks
    (name,) = here._own
    send_to(name)
    await asyncio.sleep(0.1)
    assert looks <= before + 1
    watch.stop(do_nothing)


async def test_many_datagrams_cause_few_looks(
    path: Path, here: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "_AWAKE", (0.05, 0.05))
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return 0

    watch = Watch(look, (0, 0), sleepers=lambda: here)
    watch.start(do_nothing := lambda: None)
    await until_asleep(path)
    before, datagrams = looks, 0
    (name,) = here._own
    began = time.monotonic()
    while datagrams <= 100 or time.monotonic() < began + 0.5:
        datagrams += send_to(name)
        await asyncio.sleep(0)
    watch.stop(do_nothing)
    rounds = (time.monotonic() - began) / 0.05 + 1
    assert looks - before <= 3 * rounds  # a wake-up, and a look before and after sleep begins


def send_to(name: bytes) -> bool:
    """Send a datagram as a stranger does; return False if too many wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(b"\0", _sleepers._address(name))
        except BlockingIOError:
            return False
    return True


def test_an_event_loop_that_was_closed_lets_its_sleeper_go(path: Path, here: Sleepers) -> None:
    watch = Watch(lambda: 0, (0, 0), sleepers=lambda: here)

    async def listen() -> None:
        watch.start(lambda: None)
        await until_asleep(path)

    for _ in range(3):
        with asyncio.Runner() as runner:
            runner.run(listen())
        assert len(here._own) == 1
        assert any(table(path))
    watch.wake()
    assert not here._own
    assert not any(table(path))


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
    path: Path, here: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", (0.001, 0.001))
    position, changed = 0, asyncio.Event()
    watch = Watch(lambda: position, (0, 0), sleepers=lambda: here)
    watch.start(changed.set)
    for _ in range(_sleepers._MOST_MISSED):
        await until_asleep(path)
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
    path: Path, here: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "ASLEEP_SECONDS", (0.01, 0.01))
    replaced, changed = 0, asyncio.Event()
    watch = Watch(lambda: 0, LONG, costly=lambda: replaced, sleepers=lambda: here)
    watch.start(changed.set)
    watch.wake()
    await until_asleep(path)
    replaced += 1
    async with asyncio.timeout(SOON_SECONDS):
        await changed.wait()
    watch.stop(changed.set)


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
