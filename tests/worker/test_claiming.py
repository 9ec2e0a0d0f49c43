"""Claiming: as many entries as there are free slots, as soon as one is due, and no busy loop."""

import asyncio
import math
import time
from random import Random
from typing import Any, cast

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    load,
    pause,
    return_at_once,
    running,
    settle,
    until_idle,
)

from treadle import InvalidId, InvalidValue, MailboxEntry, Store, system_clock
from treadle.backends.memory import MemoryBackend
from treadle.core.id_ranges import IdRanges
from treadle.core.mailbox_queries import CountEntries, SearchEntries
from treadle.core.queries import Query
from treadle.testing import ManualClock
from treadle.worker import Backoff, Claimed, Delivery, Done, Retried, Worker

WEEK_MS = 7 * 24 * 3600 * 1000


@every_backend
async def test_every_due_entry_is_processed_and_accepted(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = [await store.mailboxes.send(f"m{number % 3}", number) for number in range(9)]
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery.entry.payload)

    await until_idle(new_worker(store, handler))
    assert sorted(seen, key=str) == list(range(9))
    assert (await store.mailboxes.count_entries()).accepted == 9
    assert {event.entry.entry_id for event in recorder.of(Done)} == {e.entry.entry_id for e in sent}


async def test_entries_of_a_mailbox_are_processed_in_order_and_one_at_a_time(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    for number in range(30):
        await store.mailboxes.send("m", number, now=clock.now - 30 + number)
    active = 0
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        nonlocal active
        active += 1
        assert active == 1
        await settle()
        seen.append(delivery.entry.payload)
        active -= 1

    await until_idle(new_worker(store, handler))
    assert seen == list(range(30))


async def test_all_slots_are_used_and_no_more_handlers_run_than_there_are_slots(
    store: Store, new_worker: NewWorker
) -> None:
    for number in range(20):
        await store.mailboxes.send(f"m{number}", number)
    active = peak = 0
    full = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        if active == 4:
            full.set()
        await full.wait()
        active -= 1

    await until_idle(new_worker(store, handler, concurrency=4))
    assert peak == 4


async def test_a_claim_takes_as_many_entries_as_there_are_free_slots(
    faulty: FaultyBackend, faulty_store: Store, new_worker: NewWorker
) -> None:
    for number in range(32):
        await faulty_store.mailboxes.send(f"m{number}", number)
    await until_idle(new_worker(faulty_store, return_at_once, concurrency=8))
    assert faulty.calls["claim"] <= 6  # four batches, and a look whether that was all


async def test_an_idle_worker_polls_seldom(
    faulty: FaultyBackend, faulty_store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    async with running(new_worker(faulty_store, return_at_once)):
        for _ in range(2_000):
            await advance(clock, 10)
        # at first every 25 to 50 ms, at last every 2,500 to 5,000 ms
        assert 8 <= faulty.calls["claim"] <= 15


async def test_many_notifications_do_not_cause_many_claims(
    faulty: FaultyBackend, faulty_store: Store, new_worker: NewWorker
) -> None:

    async def notify(
        timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return at once, as if there were something to claim."""

    faulty.wait = notify  # type: ignore[method-assign]
    async with running(new_worker(faulty_store, return_at_once)):
        await faulty.called("claim", 3)
        began = time.monotonic()
        await faulty.called("claim", 13)
    assert time.monotonic() - began >= 0.09  # 10 ms between two claims


async def test_a_worker_without_a_free_slot_does_not_claim(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    blocked = Blocked()
    for number in range(2):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(new_worker(faulty_store, blocked, concurrency=1)):
        await recorder.wait_for(Claimed)
        before = faulty.calls["claim"]
        for _ in range(20):
            await advance(clock, 100)
        assert faulty.calls["claim"] == before
        blocked.free.set()
        await recorder.wait_for(Done, 2)


@every_backend
async def test_new_work_wakes_an_idle_worker(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """By a notification: the clock that its polls wait by does not move."""
    async with running(new_worker(store, return_at_once)):
        for number in range(3):
            await store.mailboxes.send("m", number)
            await recorder.wait_for(Done, number + 1)


async def test_work_is_found_without_any_notification(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:

    async def never_notify(
        timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        await asyncio.Event().wait()

    faulty.wait = never_notify  # type: ignore[method-assign]
    async with running(new_worker(faulty_store, return_at_once)):
        for number in range(3):
            await settle()
            await faulty_store.mailboxes.send("m", number)
            await advance(clock, 1_000)
            await recorder.wait_for(Done, number + 1)


@every_backend
async def test_delayed_work_is_done_when_it_is_due_and_not_before(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1, delay_ms=1_000)).entry
    async with running(new_worker(store, return_at_once)):
        await advance(clock, 999)
        assert (await load(store, sent)).status == "queued"
        clock.now += 1_000  # the entry is due, and the next poll at the latest
        [claimed] = await recorder.wait_for(Claimed)
        await recorder.wait_for(Done)
    assert claimed.entry.updated_at >= sent.available_at


async def pass_time_until_done(task: asyncio.Task[None], store: Store, clock: ManualClock) -> None:
    while not task.done():
        await store.mailboxes.count_entries()
        await advance(clock, 100)
    await task


@every_backend
async def test_until_idle_waits_for_scheduled_entries_and_for_those_that_others_hold(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m1", "held")
    [held] = await store.mailboxes.claim(consumer="other", lease_ms=60_000)
    await store.mailboxes.send("m2", "scheduled", delay_ms=2_000)
    task = asyncio.create_task(until_idle(new_worker(store, return_at_once)))
    await settle()
    assert not task.done()
    clock.now += 2_000
    await recorder.wait_for(Done)
    await settle()
    assert not task.done()
    await store.mailboxes.ack(held)
    await pass_time_until_done(task, store, clock)


async def test_until_idle_waits_for_retries(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    recorder.skips_delays = False
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count < 3:
            raise ValueError("not yet")

    backoff = Backoff(base_ms=40_000, factor=1, max_ms=40_000)
    task = asyncio.create_task(until_idle(new_worker(store, handler, backoff=backoff)))
    for number in range(2):
        await recorder.wait_for(Retried, number + 1)
        await settle()
        assert not task.done()
        await advance(clock, 40_000)
    await task
    assert (await store.mailboxes.count_entries()).accepted == 1


@every_backend
async def test_until_idle_does_not_wait_for_paused_mailboxes(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("dead", "held by a worker that died")
    await store.mailboxes.claim(consumer="other", lease_ms=1_000)
    await store.mailboxes.pause("dead")
    await store.mailboxes.send("human", "refund")
    await store.mailboxes.pause("human")
    await store.mailboxes.send("patient", "refund")
    await store.mailboxes.pause("patient", until=clock.now + WEEK_MS)
    await store.mailboxes.send("open", "work")
    clock.now += 1_000
    await until_idle(new_worker(store, return_at_once))
    stats = await store.mailboxes.count_entries()
    assert (stats.queued, stats.claimed, stats.accepted) == (2, 1, 1)
    await store.mailboxes.resume("dead")
    await store.mailboxes.resume("human")
    clock.now += WEEK_MS
    await until_idle(new_worker(store, return_at_once))
    assert (await store.mailboxes.count_entries()).accepted == 4


@every_backend
async def test_until_idle_waits_for_holders_in_paused_mailboxes(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("held", "by another worker")
    [held] = await store.mailboxes.claim(consumer="other", lease_ms=60_000)
    await store.mailboxes.pause("held")
    task = asyncio.create_task(until_idle(new_worker(store, return_at_once)))
    await settle()
    assert not task.done()
    await store.mailboxes.ack(held)
    await pass_time_until_done(task, store, clock)


async def test_until_idle_ends_at_once_on_an_empty_store(
    store: Store, new_worker: NewWorker
) -> None:
    await until_idle(new_worker(store, return_at_once))


async def test_until_idle_does_not_count_what_has_ended(
    faulty: FaultyBackend,
    faulty_store: Store,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store may have millions of such entries, and counting them takes seconds."""
    read = faulty.read
    asked: list[object] = []

    async def note(query: Query[Any]) -> Any:
        asked.append(type(query))
        return await read(query)

    monkeypatch.setattr(faulty, "read", note)
    await faulty_store.mailboxes.send("m", 1)
    await until_idle(new_worker(faulty_store, return_at_once))
    assert SearchEntries in asked
    assert CountEntries not in asked


async def test_entries_that_a_handler_sends_are_done_before_the_worker_is_idle(
    store: Store, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m5", 5)

    async def handler(delivery: Delivery) -> None:
        count = int(delivery.entry.payload)
        if count:
            async with delivery.batch() as step:
                step.mailboxes.send(f"m{count - 1}", count - 1)

    await until_idle(new_worker(store, handler))
    assert (await store.mailboxes.count_entries()).accepted == 6


async def test_a_worker_of_one_mailbox_leaves_the_others_alone(
    store: Store, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("mine", 1)
    other = (await store.mailboxes.send("other", 2)).entry
    await until_idle(new_worker(store, return_at_once, mailbox_id="mine"))
    assert (await store.mailboxes.count_entries("mine")).accepted == 1
    assert await store.mailboxes.load_entry(other.entry_id) == other


async def test_an_entry_that_always_fails_does_not_starve_the_others(
    store: Store, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m", "poison", priority=255)
    for number in range(20):
        await store.mailboxes.send("m", number)
    order: list[object] = []

    async def handler(delivery: Delivery) -> None:
        order.append(delivery.entry.payload)
        if delivery.entry.payload == "poison":
            raise ValueError("always")

    backoff = Backoff(base_ms=20, factor=2, max_ms=200)
    worker = new_worker(store, handler, concurrency=1, max_attempts=4, backoff=backoff)
    await until_idle(worker)
    stats = await store.mailboxes.count_entries()
    assert (stats.accepted, stats.dead_letter) == (20, 1)
    assert order.count("poison") == 4


async def test_workers_share_the_work(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    for number in range(60):
        await store.mailboxes.send(f"m{number % 12}", number)
    seen: list[tuple[str | None, int]] = []

    async def handler(delivery: Delivery) -> None:
        await pause(clock, 1)
        seen.append((delivery.entry.claimed_by, delivery.entry.payload))

    workers = [new_worker(store, handler, concurrency=3, consumer=f"w{n}") for n in range(3)]
    tasks = [asyncio.create_task(until_idle(worker)) for worker in workers]
    while not all(task.done() for task in tasks):
        await advance(clock, 1)
    await asyncio.gather(*tasks)
    assert sorted(payload for _, payload in seen) == list(range(60))
    assert {name for name, _ in seen} == {"w0", "w1", "w2"}


async def test_each_worker_has_a_different_name(store: Store) -> None:
    names = {Worker(store, return_at_once).consumer for _ in range(10)}
    assert len(names) == 10


class Sloppy(Backoff, frozen=True):
    """A backoff with another idea of its numbers."""

    def delay_ms(self, attempt: int, random: Random) -> int:
        return cast("int", 0.5)


class Stopped(ManualClock):
    """A clock that does not know the time."""

    def time(self) -> float:
        return math.nan


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("lease_ms", 0),
        ("max_attempts", 0),
        ("grace_ms", -1),
        ("purge_after_ms", -1),
        pytest.param("concurrency", -(10**5_000), id="5,000 digits below zero"),
        ("lease_ms", 2**63),
        pytest.param("lease_ms", 10**5_000, id="5,000 digits"),
        ("max_attempts", 2**63),
        ("concurrency", 2.5),
        ("concurrency", "4"),
        ("concurrency", True),
        ("lease_ms", 1500.5),
        ("grace_ms", math.nan),
        ("purge_after_ms", 0.5 * 86_400_000),
        ("consumer", 5),
        ("consumer", "\ud800"),
        ("backoff", 5),
        ("backoff", Sloppy()),
        ("on_event", "log"),
        ("on_event", return_at_once),
        ("clock", system_clock),
        ("clock", Stopped()),
        ("random", 0.5),
    ],
)
async def test_settings_of_another_type_or_out_of_range_are_refused(
    store: Store, name: str, value: Any
) -> None:
    with pytest.raises(InvalidValue, match=name):
        Worker(store, return_at_once, **{name: value})
    with pytest.raises(InvalidId):
        Worker(store, return_at_once, mailbox_id="a/b")


async def test_a_worker_runs_once_at_a_time_and_may_run_again(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    worker = new_worker(store, return_at_once)
    async with running(worker):
        await settle()
        with pytest.raises(RuntimeError, match="running already"):
            await worker.run()
    await store.mailboxes.send("m", 1)
    await until_idle(worker)
    assert len(recorder.of(Done)) == 1


async def test_a_claim_has_an_event_with_the_entry_as_it_was_claimed(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", {"text": "hi"})).entry
    await until_idle(new_worker(store, return_at_once, consumer="me"))
    [claimed] = recorder.of(Claimed)
    assert isinstance(claimed.entry, MailboxEntry)
    assert claimed.entry.entry_id == sent.entry_id
    assert claimed.entry.claimed_by == "me"
    assert claimed.entry.attempt_count == 1


class CountsWaits(MemoryBackend):
    """Counts the waits, and those that were cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0
        self.cancelled = 0
        self.three_ended = asyncio.Event()

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        try:
            await super().wait(timeout_ms, mailbox_id, among)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        if self.ended == 3:
            self.three_ended.set()


async def test_the_store_ends_a_wait_at_the_poll_so_that_no_read_is_left_behind() -> None:
    async def never(delivery: Delivery) -> None:
        raise AssertionError("there is nothing to do")

    backend = CountsWaits()
    async with Store(backend) as store:
        running = asyncio.create_task(Worker(store, never).run())
        await asyncio.wait_for(backend.three_ended.wait(), 10)
        assert backend.cancelled == 0
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
