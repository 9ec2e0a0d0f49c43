"""Costs: four times the work executes about four times as many lines.

PostgreSQL's share: `tests/postgres/test_costs.py`.
"""

import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import treadle
from tests.marks import every_backend
from treadle import Message, RunRecord, RunStatus, Store, Thread, ThreadChangeSet, open_store

FEW, MANY = 80, 320
LARGEST_RATIO = 5
SOURCES = str(Path(treadle.__file__).parent)


class Lines:
    """Counts the lines of Treadle's code that are executed: one in a loop each time it goes round.

    To count instructions would take three times as long, and a loop has both.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> "Lines | None":
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        self.count += 1
        return self


@contextmanager
def counted_lines() -> Iterator[Lines]:
    """Count in this thread, and in those that are started in the block."""
    counted, before = Lines(), sys.gettrace()
    threading.settrace(counted)
    sys.settrace(counted)
    try:
        yield counted
    finally:
        sys.settrace(before)
        threading.settrace(before)


def change(number: int) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(Message.user(str(number)),))


async def sent(store: Store, count: int) -> None:
    async with store.batch() as step:
        for number in range(count):
            step.mailboxes.send("box", number, priority=number % 3)


async def ended(store: Store, count: int) -> None:
    await sent(store, count)
    await store.mailboxes.interrupt("box")


async def written(store: Store, count: int) -> None:
    messages = tuple(Message.user(str(number)) for number in range(count))
    await store.threads.create(Thread(id="t", messages=messages))
    async with store.batch() as step:
        for number in range(count):
            step.threads.append("t", change(number))


async def sent_with_runs(store: Store, count: int) -> None:
    await sent(store, count)
    entries = (await store.mailboxes.search_entries(limit=200)).items
    async with store.batch() as step:
        for number in range(count):
            source = entries[number % len(entries)].entry_id
            run = RunRecord(run_id=f"r{number}", thread_id="t", source_mailbox_entry_id=source)
            step.runs.upsert(run)


async def asked(store: Store, count: int, status: RunStatus = "waiting") -> None:
    async with store.batch() as step:
        for number in range(count):
            step.runs.upsert(
                RunRecord(
                    run_id=f"r{number}",
                    thread_id="box",
                    status=status,
                    source_mailbox_entry_id="e",
                )
            )


async def nothing(store: Store, count: int) -> None:
    pass


async def interrupt(store: Store, count: int) -> None:
    await store.mailboxes.interrupt("box")


async def take_and_ack(store: Store, count: int) -> None:
    [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="box")
    taken = await store.mailboxes.take(entry, limit=count)
    async with store.batch() as step:
        for each in (entry, *taken):
            step.mailboxes.ack(each)


async def send_and_purge(store: Store, count: int) -> None:
    async with store.batch() as step:
        for number in range(count):
            step.mailboxes.send("other", number)
        step.mailboxes.purge(2**60)


async def append(store: Store, count: int) -> None:
    async with store.batch() as step:
        step.threads.ensure(Thread(id="t"))
        for number in range(count):
            step.threads.append("t", change(number))


async def save(store: Store, count: int) -> None:
    await store.threads.save(Thread(id="t"))


async def update(store: Store, count: int) -> None:
    await store.threads.update("t", metadata={"title": "new"})
    assert await store.threads.summary("t") is not None


Work = Callable[[Store, int], Coroutine[Any, Any, None]]


@every_backend
@pytest.mark.parametrize(
    ("fill", "command"),
    [
        (sent, interrupt),
        (sent, take_and_ack),
        (sent_with_runs, interrupt),
        (asked, interrupt),
        (ended, send_and_purge),
        (nothing, append),
        (written, save),
        (written, update),
    ],
)
async def test_a_command_costs_what_it_changes(
    store: Store, store_url: str, fill: Work, command: Work
) -> None:
    counts: list[int] = []
    for count in (FEW, MANY):
        await fill(store, count)
        with counted_lines() as counted:
            # Opened here, so that its threads are counted as well; memory has no threads.
            async with AsyncExitStack() as stack:
                opened = store
                if store_url != "memory:":
                    opened = await stack.enter_async_context(open_store(store_url))
                await command(opened, count)
        counts.append(counted.count)
        await store.mailboxes.interrupt("box")
        await store.mailboxes.interrupt("other")
        await store.mailboxes.purge(2**60)
        await store.threads.delete("t")
    few, many = counts
    assert few > 0
    assert many <= LARGEST_RATIO * few, counts


async def test_an_interrupt_does_not_look_at_the_runs_that_are_done(store: Store) -> None:
    """In memory. The plans and the counted rows of the databases show it for them."""
    counts: list[int] = []
    for count in (FEW, MANY):
        await asked(store, count, "done")
        with counted_lines() as counted:
            await interrupt(store, count)
        counts.append(counted.count)
    few, many = counts
    assert 0 < many <= 1.2 * few, counts


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
async def test_a_page_of_deltas_does_not_read_those_behind_it(store: Store, store_url: str) -> None:
    counts: list[int] = []
    for count in (FEW, MANY):
        await written(store, count)
        with counted_lines() as counted:
            async with open_store(store_url) as opened:
                assert len(await opened.threads.list_deltas("t", 1, limit=10) or ()) == 10
        counts.append(counted.count)
        await store.threads.delete("t")
    few, many = counts
    assert 0 < many <= 1.2 * few, counts
