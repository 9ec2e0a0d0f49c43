"""What the checks stand on: it leaves nothing behind when a check fails, and says what hangs."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from treadle import Store, Thread
from treadle.backends.memory.backend import MemoryBackend
from treadle.clock import Clock
from treadle.core.claims import Hold
from treadle.core.commands import TimedCommand
from treadle.core.documents import (
    CheckDocument,
    DeleteDocument,
    DeleteDocuments,
    TouchDocument,
)
from treadle.core.mailbox_pauses import Resume
from treadle.core.superseded_runs import SupersedeRuns
from treadle.testing import Subject
from treadle.testing._harness import running
from treadle.testing._harness.child_process import ChildProcess, Died
from treadle.testing._harness.history_machine import SHORT, compare_histories
from treadle.testing._harness.process_pool import end_idle_processes
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing._harness.writer_processes import Limit, WriterProcesses
from treadle.testing.builtin_subjects import FILES, MEMORY, SteppingConnection
from treadle.testing.certification import run_check
from treadle.testing.conformance import SUITE
from treadle.testing.conformance.commit import times


class Shut(MemoryBackend):
    """Cannot be opened."""

    async def open(self) -> None:
        raise OSError("it is shut")


class Hanging(MemoryBackend):
    """Never answers."""

    async def read(self, query: Any) -> Any:
        await asyncio.sleep(3_600)


def make_shut(folder: Path, clock: Clock) -> Shut:
    (folder / "left").touch()
    return Shut(clock)


async def end_process(store: Store) -> None:
    os._exit(7)


async def say_hello(store: Store) -> str:
    return "hello"


async def create_thread(store: Store) -> int:
    return (await store.threads.create(Thread(id="t"))).version


async def process_id(store: Store) -> int:
    return os.getpid()


async def answer() -> int:
    return 5


async def time_out() -> None:
    raise TimeoutError("of its own")


@pytest.fixture(autouse=True)
def no_processes_are_left_behind() -> Iterator[None]:
    end_idle_processes()
    before = multiprocessing.active_children()
    yield
    end_idle_processes()
    assert multiprocessing.active_children() == before


def test_a_child_process_that_cannot_open_the_store_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"could not open the store: OSError.*it is shut"),
        ChildProcess(Subject(make=make_shut), tmp_path),
    ):
        pass


def test_a_child_process_runs_operations_until_it_dies(tmp_path: Path) -> None:
    with ChildProcess(MEMORY, tmp_path) as child:
        for _ in range(2):
            child.begin(say_hello)
            assert child.result() == "hello"
        child.begin(end_process)
        assert child.result() == Died()
        child.begin(say_hello)
        child.resume()
        assert child.result() == Died()


def test_a_process_that_closed_its_store_serves_the_next_one(tmp_path: Path) -> None:
    pids: list[int] = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        with ChildProcess(FILES, folder) as child:
            child.begin(create_thread)
            assert child.result() == 0  # the store of the other folder has no such thread
            child.begin(process_id)
            pids.append(child.result())
    assert pids[0] == pids[1]


def test_a_process_with_an_unread_result_is_not_used_again(tmp_path: Path) -> None:
    with ChildProcess(MEMORY, tmp_path) as child:
        child.begin(say_hello)
    with ChildProcess(MEMORY, tmp_path) as child:
        child.begin(process_id)
        assert isinstance(child.result(), int)


def test_a_process_of_another_import_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    for _ in range(2):
        with ChildProcess(MEMORY, tmp_path) as child:
            child.begin(process_id)
            pids.append(child.result())
        monkeypatch.syspath_prepend(tmp_path)
    assert pids[0] != pids[1]


def test_writers_are_not_left_behind_when_a_check_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="a check failed"),
        WriterProcesses(FILES, tmp_path) as writers,
    ):
        for name in ("one", "two"):
            writers.start(name)
        raise RuntimeError("a check failed")


def test_writers_that_cannot_work_say_why(tmp_path: Path) -> None:
    with WriterProcesses(MEMORY, tmp_path) as writers:
        writers.start("one", Limit(steps=30))  # the memory of another process has no threads
        writers.finish("one", Limit(steps=30))
        with pytest.raises(AssertionError, match=r"a writer failed: .*thread t. is lost"):
            writers.check()


async def test_a_call_that_takes_too_long_fails() -> None:
    with pytest.raises(AssertionError, match=r"it was not done after 0\.01 s"):
        await with_timeout(asyncio.sleep(3_600), 0.01)
    with pytest.raises(TimeoutError, match="of its own"):
        await with_timeout(time_out())
    assert await with_timeout(answer()) == 5


def test_a_check_that_hangs_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "DEADLINE_SECONDS", 0.05)
    [check] = [check for check in SUITE if check.rule == "loading a missing thread returns none"]
    subject = Subject(make=lambda folder, clock: Hanging(clock))
    outcome = run_check(check, subject, tmp_path)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("it was not done after 0.05 s")


@pytest.mark.parametrize("subject", [FILES, Subject(make=make_shut)], ids=["files", "shut"])
def test_histories_leave_nothing_in_their_place(tmp_path: Path, subject: Subject) -> None:
    try:
        compare_histories(subject, tmp_path, (2,), settings(SHORT, max_examples=2))
    except OSError as error:
        assert str(error) == "it is shut"
    assert list(tmp_path.iterdir()) == []


def concrete(kind: type[Any]) -> set[type[Any]]:
    """The classes below a class that have none below them."""
    below = kind.__subclasses__()
    return {each for other in below for each in concrete(other)} if below else {kind}


def test_every_command_that_happens_at_a_time_is_tried_at_one() -> None:
    without_trace = {
        Hold,
        Resume,
        CheckDocument,
        DeleteDocument,
        DeleteDocuments,
        TouchDocument,
        SupersedeRuns,  # no work is about the end of a thread of the sample
    }
    assert {type(command) for command in times.TIMED} | without_trace == concrete(TimedCommand)


def test_a_stepping_connection_stops_where_others_may_notice(tmp_path: Path) -> None:
    stops: list[bool] = []
    connection = SteppingConnection(
        tmp_path / "store.db",
        step=lambda: stops.append(connection.in_transaction),
        isolation_level=None,
    )
    with closing(connection):
        connection.execute("CREATE TABLE numbers (number)")
        assert stops == [False]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT * FROM numbers")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(1,), (2,)])
        connection.execute("INSERT INTO numbers VALUES (3)")
        assert stops[1:] == [False, True]  # before it begins, and before it reads
        connection.execute("COMMIT")
        assert stops[3:] == [True]  # with all that it has written
        connection.execute("INSERT INTO numbers VALUES (4)")
        assert stops[4:] == [False]
