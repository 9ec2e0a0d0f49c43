"""A write-ahead log that is cut or damaged anywhere contains the commits before, each whole."""

import asyncio
import random
import struct
import subprocess
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from tests.sqlite.history import State, replay, start, state_of
from tests.sqlite.support import in_store
from treadle.backends.sqlite.doctor import examine
from treadle.testing._harness.dump import read_documents

COMMITS = 40
LOG_HEAD = 32
FRAME_HEAD = 24


class Files:
    """A store's files while it is open: all but the first page is in the log."""

    def __init__(self, path: Path) -> None:
        self.database = path.read_bytes()
        self.log = path.with_name(f"{path.name}-wal").read_bytes()

    def lay_down(self, path: Path, log: bytes) -> None:
        """Let the files be these, with another log."""
        path.parent.mkdir(exist_ok=True)
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(self.database)
        path.with_name(f"{path.name}-wal").write_bytes(log)

    def lengths(self, count: int) -> list[int]:
        """About so many lengths to cut the log to: beside frames' edges, inside them, anywhere."""
        (page,) = struct.unpack_from(">I", self.log, 8)
        edges = range(LOG_HEAD, len(self.log), FRAME_HEAD + page)
        near = [edge + by for edge in edges for by in (-1, 0, 1, FRAME_HEAD)]
        choose = random.Random(count)
        chosen = choose.sample(near, min(len(near), count))
        chosen += choose.sample(range(len(self.log)), count)
        return sorted({0, 1, LOG_HEAD, len(self.log), *chosen})


@contextmanager
def living(path: Path, count: int, size: int) -> "Generator[subprocess.Popen[str]]":
    """A process that lives this life, and is killed."""
    child = start(path, count, size)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def wait_for(child: "subprocess.Popen[str]", number: int) -> None:
    """Until the commit of this number is acknowledged."""
    assert child.stdout is not None
    for line in child.stdout:
        if line == f"{number}\n":
            return
    raise AssertionError("the process ended early")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    path = tmp_path_factory.mktemp("life") / "store.db"
    with living(path, COMMITS, 400) as child:
        wait_for(child, COMMITS - 1)
        return Files(path)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    path = tmp_path_factory.mktemp("replay") / "store.db"

    async def collect() -> list[State]:
        return [state async for state in replay(path, COMMITS, 400)]

    return asyncio.run(collect())


def check_cuts(folder: Path, files: Files, states: list[State], count: int) -> None:
    """Cut the log; what is there must be a state, and never an older one for a longer log."""
    path = folder / "store.db"
    reached = 0
    for length in files.lengths(count):
        files.lay_down(path, files.log[:length])
        reached = states.index(state_of(path), reached)
    assert reached == states.index(states[-1])


def check_flips(folder: Path, files: Files, states: list[State], count: int) -> None:
    """Change a bit of the log; what is there must be a state."""
    path = folder / "store.db"
    choose = random.Random(count)
    for _ in range(count):
        damaged = bytearray(files.log)
        damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        files.lay_down(path, bytes(damaged))
        assert state_of(path) in states


def test_the_history_is_long_enough_to_show_a_fault(files: Files, states: list[State]) -> None:
    assert len(set(states)) > COMMITS * 3 // 4
    assert len(files.database) < len(files.log) // 10


def test_a_log_cut_anywhere_contains_whole_commits(
    tmp_path: Path, files: Files, states: list[State]
) -> None:
    check_cuts(tmp_path, files, states, 60)


@pytest.mark.soak
def test_a_log_cut_at_every_edge_contains_whole_commits(
    tmp_path: Path, files: Files, states: list[State]
) -> None:
    check_cuts(tmp_path, files, states, 10_000)


def test_a_log_with_a_flipped_bit_contains_whole_commits(
    tmp_path: Path, files: Files, states: list[State]
) -> None:
    check_flips(tmp_path, files, states, 60)


@pytest.mark.soak
def test_a_log_with_any_flipped_bit_contains_whole_commits(
    tmp_path: Path, files: Files, states: list[State]
) -> None:
    check_flips(tmp_path, files, states, 10_000)


def test_a_store_with_a_cut_log_opens_and_can_be_written(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "store.db"
    for length in files.lengths(8):
        files.lay_down(path, files.log[:length])
        in_store(path, read_documents)
        report = examine(path)
        assert report.findings == ()
        in_store(path, lambda store: store.mailboxes.send("after", 1))
        assert examine(path).records == report.records + 2


@pytest.mark.parametrize("attempt", range(2))
def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path, attempt: int) -> None:
    check_kill(tmp_path, acknowledged=60 + 25 * attempt)


@pytest.mark.soak
@pytest.mark.parametrize("acknowledged", range(200))
def test_a_process_killed_at_any_moment_loses_nothing_that_was_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    check_kill(tmp_path, acknowledged)


def check_kill(folder: Path, acknowledged: int) -> None:
    """Kill a process that has acknowledged so many commits, perhaps within a later one.

    Its messages are so long that the log is emptied into the file every fifty commits.
    """
    path, count, size = folder / "store.db", acknowledged + 60, 500_000
    with living(path, count, size) as child:
        wait_for(child, acknowledged)
    assert path.stat().st_size > size or acknowledged < 60
    found = state_of(path)

    async def is_met() -> bool:
        async with aclosing(replay(folder / "again.db", count, size, acknowledged)) as states:
            async for state in states:
                if state == found:
                    return True
        return False

    assert asyncio.run(is_met())
