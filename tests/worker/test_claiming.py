"""Claiming: as much as there is room for, as soon as there is something, and never in haste."""

import asyncio
import time

import pytest
from tests.marks import every_backend
from tests.worker.support import FaultyBackend, Recorder, running, until_idle

from treadle import InvalidId, InvalidValue, MailboxEntry, Store
from treadle.worker import Backoff, Claimed, Delivery, Done, Worker


async def nothing(delivery: Delivery) -> None:
    pass


@every_backend
async def test_what_is_due_is_worked_and_accepted(store: Store, recorder: Recorder) -> None:
    sent = [await store.mailboxes.send(f"m{number % 3}", number) for number in range(9)]
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery.entry.payload)

    await until_idle(Worker(store, handler, on_event=recorder))
    assert sorted(seen, key=str) == list(range(9))
    assert (await store.mailboxes.stats()).accepted == 9
    assert {event.entry.entry_id for event in recorder.of(Done)} == {e.entry_id for e in sent}


@every_backend
async def test_entries_of_a_mailbox_are_worked_in_order_and_one_at_a_time(store: Store) -> None:
    for number in range(30):
        await store.mailboxes.send("m", number, now=1_000 + number)
    active = 0
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        nonlocal active
        active += 1
        assert active == 1
        await asyncio.sleep(0)
        seen.append(delivery.entry.payload)
        active -= 1

    await until_idle(Worker(store, handler))
    assert seen == list(range(30))


async def test_no_more_handlers_run_than_there_are_slots_and_all_slots_are_used(
    store: Store,
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

    await until_idle(Worker(store, handler, concurrency=4))
    assert peak == 4


async def test_a_claim_takes_as_much_as_there_are_free_slots(
    faulty: FaultyBackend, faulty_store: Store
) -> None:
    for number in range(32):
        await faulty_store.mailboxes.send(f"m{number}", number)
    await until_idle(Worker(faulty_store, nothing, concurrency=8))
    assert faulty.calls["claim"] <= 6  # four batches, and a look whether that was all


async def test_an_idle_worker_looks_seldom(faulty: FaultyBackend, faulty_store: Store) -> None:
    async with running(Worker(faulty_store, nothing)):
        await asyncio.sleep(0.5)
    assert faulty.calls["claim"] <= 8


async def test_a_storm_of_notifications_is_not_a_storm_of_claims(
    faulty: FaultyBackend, faulty_store: Store
) -> None:
    async with running(Worker(faulty_store, nothing)):
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            await faulty_store.mailboxes.ensure("elsewhere")
            await asyncio.sleep(0)
    assert faulty.calls["claim"] <= 40


async def test_a_worker_with_no_free_slot_does_not_look(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    let_go = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        await let_go.wait()

    for number in range(2):
        await faulty_store.mailboxes.send(f"m{number}", number)
    async with running(Worker(faulty_store, handler, concurrency=1, on_event=recorder)):
        await recorder.wait_for(Claimed)
        before = faulty.calls["claim"]
        await asyncio.sleep(0.2)
        assert faulty.calls["claim"] == before
        let_go.set()
        await recorder.wait_for(Done, 2)


@every_backend
@pytest.mark.usefixtures("no_polling")
async def test_new_work_wakes_an_idle_worker(store: Store, recorder: Recorder) -> None:
    async with running(Worker(store, nothing, on_event=recorder)):
        for number in range(3):
            await asyncio.sleep(0.02)  # it waits by now
            await store.mailboxes.send("m", number)
            await recorder.wait_for(Done, number + 1)


async def test_work_is_found_without_any_notification(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:

    async def deaf(timeout_ms: int, mailbox_id: str | None = None) -> None:
        await asyncio.sleep(timeout_ms / 1000)

    faulty.wait = deaf  # type: ignore[method-assign]
    async with running(Worker(faulty_store, nothing, on_event=recorder)):
        for number in range(3):
            await faulty_store.mailboxes.send("m", number)
            await recorder.wait_for(Done, number + 1)


@every_backend
@pytest.mark.usefixtures("no_polling")
async def test_delayed_work_is_done_when_it_falls_due(store: Store, recorder: Recorder) -> None:
    sent = await store.mailboxes.send("m", 1, delay_ms=150)
    async with running(Worker(store, nothing, on_event=recorder)):
        [claimed] = await recorder.wait_for(Claimed)
        await recorder.wait_for(Done)
    assert claimed.entry.updated_at >= sent.available_at


@every_backend
async def test_until_idle_waits_for_what_is_scheduled_and_for_what_others_hold(
    store: Store,
) -> None:
    await store.mailboxes.send("m1", "held")
    [held] = await store.mailboxes.claim(consumer="other", lease_ms=60_000)
    await store.mailboxes.send("m2", "scheduled", delay_ms=100)
    task = asyncio.create_task(until_idle(Worker(store, nothing)))
    await asyncio.sleep(0.3)
    assert not task.done()
    assert (await store.mailboxes.stats()).accepted == 1
    await store.mailboxes.ack(held)
    await task


async def test_until_idle_waits_for_retries(store: Store) -> None:
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count < 3:
            raise ValueError("not yet")

    backoff = Backoff(base_ms=40, factor=1, max_ms=40)
    await until_idle(Worker(store, handler, backoff=backoff))
    assert (await store.mailboxes.stats()).accepted == 1


async def test_until_idle_ends_at_once_on_an_empty_store(store: Store) -> None:
    async with asyncio.timeout(1):
        await Worker(store, nothing).run(until_idle=True)


async def test_work_that_a_handler_sends_is_done_before_the_worker_is_idle(store: Store) -> None:
    await store.mailboxes.send("m5", 5)

    async def handler(delivery: Delivery) -> None:
        count = int(delivery.entry.payload)
        if count:
            async with delivery.batch() as step:
                step.mailboxes.send(f"m{count - 1}", count - 1)

    await until_idle(Worker(store, handler))
    assert (await store.mailboxes.stats()).accepted == 6


async def test_a_worker_may_work_one_mailbox_only(store: Store) -> None:
    await store.mailboxes.send("mine", 1)
    other = await store.mailboxes.send("other", 2)
    await until_idle(Worker(store, nothing, mailbox_id="mine"))
    assert (await store.mailboxes.stats("mine")).accepted == 1
    assert await store.mailboxes.load(other.entry_id) == other


async def test_a_mailbox_with_much_work_does_not_starve_the_others(store: Store) -> None:
    for number in range(200):
        await store.mailboxes.send("busy", number, now=1_000 + number)
    for number in range(10):
        await store.mailboxes.send(f"quiet{number}", number)
    order: list[str] = []

    async def handler(delivery: Delivery) -> None:
        await asyncio.sleep(0)
        order.append(delivery.entry.mailbox_id)

    await until_idle(Worker(store, handler, concurrency=2))
    last_quiet = max(place for place, name in enumerate(order) if name != "busy")
    assert last_quiet < 60


async def test_an_entry_that_always_fails_does_not_starve_the_others(store: Store) -> None:
    await store.mailboxes.send("m", "poison", priority=255)
    for number in range(20):
        await store.mailboxes.send("m", number)
    order: list[object] = []

    async def handler(delivery: Delivery) -> None:
        order.append(delivery.entry.payload)
        if delivery.entry.payload == "poison":
            raise ValueError("as ever")

    backoff = Backoff(base_ms=20, factor=2, max_ms=200)
    worker = Worker(store, handler, concurrency=1, max_attempts=4, backoff=backoff)
    await until_idle(worker)
    stats = await store.mailboxes.stats()
    assert (stats.accepted, stats.dead_letter) == (20, 1)
    assert order.count("poison") == 4


async def test_workers_share_the_work(store: Store) -> None:
    for number in range(60):
        await store.mailboxes.send(f"m{number % 12}", number)
    seen: list[tuple[str | None, int]] = []

    async def handler(delivery: Delivery) -> None:
        await asyncio.sleep(0.001)
        seen.append((delivery.entry.claimed_by, delivery.entry.payload))

    workers = [Worker(store, handler, concurrency=3, consumer=f"w{n}") for n in range(3)]
    await asyncio.gather(*map(until_idle, workers))
    assert sorted(payload for _, payload in seen) == list(range(60))
    assert {name for name, _ in seen} == {"w0", "w1", "w2"}


async def test_each_worker_has_a_name_of_its_own(store: Store) -> None:
    names = {Worker(store, nothing).consumer for _ in range(10)}
    assert len(names) == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("lease_ms", 0),
        ("max_attempts", 0),
        ("grace_ms", -1),
        ("purge_after_ms", -1),
    ],
)
async def test_settings_out_of_range_are_refused(store: Store, name: str, value: int) -> None:
    with pytest.raises(InvalidValue, match=name):
        Worker(store, nothing, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InvalidId):
        Worker(store, nothing, mailbox_id="a/b")


async def test_a_worker_runs_once_at_a_time_but_again_afterwards(
    store: Store, recorder: Recorder
) -> None:
    worker = Worker(store, nothing, on_event=recorder)
    async with running(worker):
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="running already"):
            await worker.run()
    await store.mailboxes.send("m", 1)
    await until_idle(worker)
    assert len(recorder.of(Done)) == 1


async def test_a_claim_is_told_with_the_entry_as_it_was_claimed(
    store: Store, recorder: Recorder
) -> None:
    sent = await store.mailboxes.send("m", {"text": "hi"})
    await until_idle(Worker(store, nothing, consumer="me", on_event=recorder))
    [claimed] = recorder.of(Claimed)
    assert isinstance(claimed.entry, MailboxEntry)
    assert claimed.entry.entry_id == sent.entry_id
    assert claimed.entry.claimed_by == "me"
    assert claimed.entry.attempt_count == 1
