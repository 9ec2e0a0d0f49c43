"""Processes that answer the same runs at once, are too late, or are killed."""

import random
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

import treadle
from treadle import RunRecord, Store, Thread

durable_backends = pytest.mark.parametrize(
    "store_url", ["files", "sqlite", "postgres"], indirect=True
)
RUNS = 12

ANSWERING = """
import random, sys
from treadle import RunConflict
from treadle.blocking import open_store

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
runs = [f"r{number}" for number in range(count)]
random.Random(name).shuffle(runs)
with open_store(url) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for run_id in runs:
        try:
            store.runs.answer(run_id, name, next_run_id=f"{run_id}-{name}")
        except RunConflict:
            continue
        print(run_id, flush=True)
"""

STOPPING = """
import sys
from treadle.blocking import open_store

with open_store(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    store.mailboxes.interrupt("t")
"""


@contextmanager
def process(code: str, *arguments: str) -> Generator["subprocess.Popen[str]"]:
    """A process that has opened the store, and begins when it gets a line."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            assert started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


def begin(processes: list["subprocess.Popen[str]"]) -> None:
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()


def answered_by(started: "subprocess.Popen[str]") -> list[str]:
    """The runs that a process says it has answered, when it has ended."""
    assert started.stdout is not None
    answered = started.stdout.read().split()
    assert started.wait(timeout=60) == 0
    return answered


async def ask(store: Store, count: int) -> None:
    """Let runs wait whose entries have ended."""
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        for number in range(count):
            run = RunRecord(
                run_id=f"r{number}",
                thread_id="t",
                status="waiting",
                source_mailbox_entry_id=f"ended-{number}",
            )
            step.runs.upsert(run)


async def answers(store: Store, names: list[str], count: int) -> dict[str, str]:
    """The runs that have an answer, with whose it is; no run has half of one."""
    found: dict[str, str] = {}
    for number in range(count):
        run = await store.runs.load(f"r{number}")
        assert run is not None
        entries = [
            name
            for name in names
            if await store.mailboxes.load_entry(f"{run.run_id}-{name}") is not None
        ]
        assert len(entries) == (run.termination_code == "answered")
        if entries:
            found[run.run_id] = entries[0]
    return found


@durable_backends
async def test_of_several_processes_one_answers_each_run(store_url: str) -> None:
    names = ["ann", "ben", "cid"]
    async with treadle.open_store(store_url) as store:
        await ask(store, RUNS)
        with ExitStack() as stack:
            started = [
                stack.enter_context(process(ANSWERING, store_url, name, str(RUNS)))
                for name in names
            ]
            begin(started)
            said = {
                run_id: name
                for name, each in zip(names, started, strict=True)
                for run_id in answered_by(each)
            }
        assert len(said) == RUNS
        assert await answers(store, names, RUNS) == said


@durable_backends
async def test_an_answer_and_a_stop_in_two_processes_exclude_each_other(store_url: str) -> None:
    async with treadle.open_store(store_url) as store:
        await ask(store, RUNS)
        with ExitStack() as stack:
            answering = stack.enter_context(process(ANSWERING, store_url, "ann", str(RUNS)))
            stopping = stack.enter_context(process(STOPPING, store_url))
            begin([answering])
            assert answering.stdout is not None
            first = answering.stdout.readline().strip()
            begin([stopping])
            said = [first, *answered_by(answering)]
            assert stopping.wait(timeout=60) == 0
        assert sorted(await answers(store, ["ann"], RUNS)) == sorted(said)
        stats = await store.runs.count()
        assert (stats.waiting, stats.done) == (0, RUNS)
        page = await store.runs.list(termination_code="superseded")
        assert page.total == RUNS - len(said)


@durable_backends
@pytest.mark.parametrize("seed", range(3))
async def test_a_process_that_is_killed_leaves_no_half_of_an_answer(
    store_url: str, seed: int
) -> None:
    async with treadle.open_store(store_url) as store:
        await ask(store, 40)
        with process(ANSWERING, store_url, "ann", "40") as started:
            begin([started])
            assert started.stdout is not None
            wanted = random.Random(seed).randrange(1, 20)
            said = [started.stdout.readline().strip() for _ in range(wanted)]
            started.kill()
            said += [line for line in started.stdout.read().splitlines() if line]
            started.wait(timeout=60)
        found = await answers(store, ["ann"], 40)
        assert {*said} <= {*found}
        assert len(found) <= len(said) + 1
