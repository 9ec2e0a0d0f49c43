"""Waiting: callers share one watcher, and no write between a look and a sleep is missed."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from treadle import Store
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.core.id_ranges import Ids
from treadle.errors import StoreClosed
from treadle.testing import ManualClock, Subject
from treadle.testing.builtin_subjects import FILES, MEMORY, SQLITE

LONG = 60_000
SOON_SECONDS = 10


class FakeStore:
    """Counts the questions of those who wait for its entries."""

    def __init__(self) -> None:
        self.position: Any = 0
        self.due = 0
        self.times_left = 0
        self.questions = 0
        self.unanswered = 0
        self.error: Exception | None = None
        self.position_error: Exception | None = None
        self.watch = Watch(self._position)
        self.waiting = Waiting(self.watch, self._times_left)

    def _position(self) -> Any:
        if self.position_error is not None:
            raise self.position_error
        return self.position

    def send(self, entries: int = 1) -> None:
        self.due += entries
        self.position += 1
        self.watch.wake()

    def claim(self) -> bool:
        if self.due == 0:
            return False
        self.due -= 1
        self.position += 1
        self.watch.wake()
        return True

    def has_asleep(self, count: int) -> bool:
        """Return whether so many callers sleep, and nothing is left to ask for them."""
        watchers = self.waiting._watchers.values()
        asleep = sum(len(each) for watcher in watchers for each in watcher.sleepers.values())
        is_asking = self.unanswered > 0 or any(each.changed.is_set() for each in watchers)
        return asleep == count and not is_asking

    async def _times_left(self, mailboxes: Sequence[Ids]) -> list[int | None]:
        self.questions += 1
        self.unanswered += 1
        try:
            for _ in range(self.questions % 3):
                await asyncio.sleep(0)
        finally:
            self.unanswered -= 1
        if self.error is not None:
            raise self.error
        return [0 if self.due and each is None else None for each in mailboxes]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def all_asleep(store: FakeStore, count: int) -> "list[asyncio.Task[None]]":
    """Let tasks wait, and return once all of them have asked for themselves and sleep."""
    sleepers = [asyncio.create_task(store.waiting.until_due(LONG, None)) for _ in range(count)]
    await until(lambda: store.has_asleep(count))
    return sleepers


async def end(tasks: "Sequence[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_write_while_a_caller_asks_ends_the_sleep_after_it() -> None:
    position = 0

    async def times_left(mailboxes: Sequence[Ids]) -> list[int | None]:
        nonlocal position
        if position == 0:
            position += 1  # another process writes, just after the store was asked
            return [None]
        return [0]

    waiting = Waiting(Watch(lambda: position), times_left)
    async with asyncio.timeout(SOON_SECONDS):
        await waiting.until_due(LONG, None)
    assert position == 1


async def test_a_crowd_that_waits_asks_no_more_than_one_caller() -> None:
    store = FakeStore()
    sleepers = await all_asleep(store, 500)
    store.questions = 0
    for _ in range(5):
        before = store.questions
        store.position += 1  # a write of another process, about which nobody wakes us
        await until(lambda: store.questions > before and store.has_asleep(500))  # noqa: B023
    assert 5 <= store.questions <= 10
    await end(sleepers)


async def test_one_entry_wakes_one_caller_of_a_crowd() -> None:
    store = FakeStore()
    claims = 0

    async def work() -> None:
        nonlocal claims
        while True:
            await store.waiting.until_due(LONG, None)
            claims += 1
            if store.claim():
                return

    workers = [asyncio.create_task(work()) for _ in range(500)]
    await until(lambda: store.has_asleep(500))
    for left in range(499, 489, -1):
        store.send()
        await until(lambda: store.due == 0 and store.has_asleep(left))  # noqa: B023
    assert claims <= 20, "the crowd woke for an entry"
    await end(workers)


async def test_many_entries_wake_as_many_callers_soon() -> None:
    store = FakeStore()

    async def work() -> None:
        while not store.claim():
            await store.waiting.until_due(LONG, None)

    workers = [asyncio.create_task(work()) for _ in range(300)]
    await until(lambda: store.has_asleep(300))
    store.send(300)
    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.gather(*workers)


async def test_all_callers_wake_soon_if_those_before_them_do_not_claim() -> None:
    store = FakeStore()
    sleepers = await all_asleep(store, 300)
    store.send()
    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.gather(*sleepers)


async def test_the_next_caller_wakes_if_the_one_that_woke_was_cancelled() -> None:
    store = FakeStore()
    first, second = await all_asleep(store, 2)
    store.send()
    while not first.done():
        await asyncio.sleep(0)
        first.cancel()
    async with asyncio.timeout(SOON_SECONDS):
        await second


async def test_an_error_reaches_every_caller_and_a_later_wait_works() -> None:
    store = FakeStore()
    sleepers = await all_asleep(store, 3)
    store.error = StoreClosed()
    store.position += 1
    outcomes = await asyncio.gather(*sleepers, return_exceptions=True)
    assert outcomes == [store.error] * 3
    store.error, store.due = None, 1
    async with asyncio.timeout(SOON_SECONDS):
        await store.waiting.until_due(LONG, None)


@pytest.mark.parametrize("is_woken", [True, False], ids=["woken", "looking"])
async def test_an_error_of_a_look_reaches_every_caller(*, is_woken: bool) -> None:
    store = FakeStore()
    sleepers = await all_asleep(store, 3)
    store.position_error = StoreClosed()
    if is_woken:
        store.watch.wake()
    async with asyncio.timeout(SOON_SECONDS):
        outcomes = await asyncio.gather(*sleepers, return_exceptions=True)
    assert outcomes == [store.position_error] * 3


async def test_a_caller_that_comes_as_the_last_one_leaves_is_woken() -> None:
    choose = Random(1)
    store = FakeStore()

    async def come() -> None:
        for _ in range(choose.randrange(6)):
            await asyncio.sleep(0)
        await store.waiting.until_due(LONG, None)

    for _ in range(400):
        (leaving,) = await all_asleep(store, 1)
        coming = asyncio.create_task(come())
        store.send()
        for _ in range(choose.randrange(6)):
            await asyncio.sleep(0)
        store.claim()
        leaving.cancel()
        await asyncio.sleep(0.001)
        store.send()
        async with asyncio.timeout(SOON_SECONDS):
            await coming
        store.claim()
        await end([leaving])


@pytest.mark.parametrize("subject", [MEMORY, FILES, SQLITE], ids=["memory", "files", "sqlite"])
def test_one_store_is_waited_on_in_one_event_loop_after_another(
    subject: Subject, tmp_path: Path
) -> None:
    store = Store(subject.make(tmp_path, ManualClock()))

    async def wait_and_claim() -> object:
        sending = asyncio.get_running_loop().call_later(
            0.03, lambda: asyncio.ensure_future(store.mailboxes.send("box", 1))
        )
        async with asyncio.timeout(SOON_SECONDS):
            while not (claimed := await store.mailboxes.claim(consumer="c")):
                await store.mailboxes.wait(LONG)
            await store.mailboxes.ack(claimed[0])
        sending.cancel()
        return claimed[0].payload

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(store.open())
        assert first.run(wait_and_claim()) == 1
        assert second.run(wait_and_claim()) == 1
        assert first.run(wait_and_claim()) == 1
        second.run(store.close())
