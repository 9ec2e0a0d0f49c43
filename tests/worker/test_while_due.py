"""Working what is due now, and not what is due later: `while_due`, and `treadle.testing.work`."""

import asyncio

import pytest
from tests.marks import every_backend
from tests.worker.support import DEADLINE_S, NewWorker, Recorder, return_at_once

from treadle import EntryStatus, Store
from treadle.testing import ManualClock, work
from treadle.worker import (
    Claimed,
    DeadLettered,
    Delivery,
    Done,
    Event,
    Reject,
    Retried,
    Worker,
    log_events,
)

HOUR_MS = 3_600_000


async def while_due(worker: Worker) -> None:
    async with asyncio.timeout(DEADLINE_S * 3):
        await worker.run(while_due=True)


async def statuses(store: Store) -> dict[str, EntryStatus]:
    """The status of each entry, by its payload."""
    page = await store.mailboxes.list_entries()
    return {entry.payload["is"]: entry.status for entry in page.items}


@every_backend
async def test_what_is_due_later_paused_or_held_stays(store: Store, new_worker: NewWorker) -> None:
    await store.mailboxes.send("held", {"is": "held"})
    await store.mailboxes.claim(consumer="other", lease_ms=HOUR_MS)
    await store.mailboxes.send("held", {"is": "behind"})
    await store.mailboxes.send("later", {"is": "scheduled"}, delay_ms=HOUR_MS)
    await store.mailboxes.send("paused", {"is": "paused"})
    await store.mailboxes.pause("paused")
    await store.mailboxes.send("due", {"is": "due"})
    await store.mailboxes.send("failing", {"is": "failing"})

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload["is"] == "failing":
            raise ValueError("not yet")

    # The recorder would move the clock to retries.
    await while_due(new_worker(store, handler, on_event=log_events))
    assert await statuses(store) == {
        "held": "claimed",
        "behind": "queued",
        "scheduled": "queued",
        "paused": "queued",
        "due": "accepted",
        "failing": "queued",
    }


@every_backend
async def test_an_empty_store_has_nothing_due(store: Store, new_worker: NewWorker) -> None:
    await while_due(new_worker(store, return_at_once))


@pytest.mark.parametrize("concurrency", [1, 8])
@every_backend
async def test_what_handlers_send_is_due_too(
    store: Store, new_worker: NewWorker, concurrency: int
) -> None:
    for number in range(3):
        await store.mailboxes.send(f"m{number}", {"is": f"{number}", "left": 3})

    async def handler(delivery: Delivery) -> None:
        name, left = delivery.entry.payload["is"], delivery.entry.payload["left"]
        # Another handler's claim, in vain, may end before this one goes on.
        await asyncio.sleep(0.01 * left)
        if left:
            async with delivery.batch() as step:
                step.mailboxes.send(f"{name}x", {"is": f"{name}x", "left": left - 1})

    await while_due(new_worker(store, handler, concurrency=concurrency))
    assert list((await statuses(store)).values()) == ["accepted"] * 12


async def test_suspects_are_tried_alone_before_it_ends(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    for name in ("a", "b"):
        await store.mailboxes.send(name, {"is": name})
    for _ in range(3):  # workers that crashed
        await store.mailboxes.claim(2, consumer="dead", lease_ms=10)
        clock.now += 11
    await store.mailboxes.send("c", {"is": "c"})
    await while_due(new_worker(store, return_at_once, max_attempts=3))
    assert set((await statuses(store)).values()) == {"accepted"}


clocked_backends = pytest.mark.parametrize(
    "store_url", ["memory", "files", "sqlite"], indirect=True
)
"""On PostgreSQL, time is that of the database."""


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


@clocked_backends
async def test_work_moves_the_clock_to_each_retry(store: Store, clock: ManualClock) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(clock.now)
        if delivery.entry.attempt_count < 3:
            raise ValueError("not yet")

    await store.mailboxes.send("m", {"is": "m"})
    events = await work(store, handler, clock)
    assert names(events) == ["Claimed", "Retried", "Claimed", "Retried", "Claimed", "Done"]
    retries = [event.retry_at for event in events if isinstance(event, Retried)]
    assert attempts[1:] == retries
    assert clock.now == retries[-1]


@clocked_backends
async def test_work_gives_up_an_entry_that_always_fails(store: Store, clock: ManualClock) -> None:
    async def handler(delivery: Delivery) -> None:
        raise ValueError("never")

    await store.mailboxes.send("m", {"is": "m"})
    events = await work(store, handler, clock, max_attempts=2)
    assert names(events) == ["Claimed", "Retried", "Claimed", "DeadLettered"]
    last = events[-1]
    assert isinstance(last, DeadLettered)
    assert isinstance(last.exception, ValueError)


@clocked_backends
async def test_work_leaves_what_is_scheduled_and_what_others_get(
    store: Store, clock: ManualClock
) -> None:
    async def handler(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.mailboxes.send("other", {"is": "other"})

    await store.mailboxes.send("m", {"is": "now"})
    await store.mailboxes.send("m", {"is": "later"}, delay_ms=HOUR_MS)
    before = clock.now
    await work(store, handler, clock, mailbox_id="m")
    assert clock.now == before
    assert await statuses(store) == {"now": "accepted", "later": "queued", "other": "queued"}
    clock.now += HOUR_MS
    assert names(await work(store, handler, clock, mailbox_id="m")) == ["Claimed", "Done"]


async def test_work_takes_as_many_at_once_as_it_may(store: Store, clock: ManualClock) -> None:
    taken: list[int] = []

    async def handler(delivery: Delivery) -> None:
        taken.append(len(delivery.entries))

    for number in range(3):
        await store.mailboxes.send("m", {"is": f"{number}"})
    events = await work(store, handler, clock, coalesce=3)
    assert taken == [3]
    assert [type(event) for event in events] == [Claimed] * 3 + [Done] * 3


async def test_work_returns_what_the_handler_rejects(store: Store, clock: ManualClock) -> None:
    async def handler(delivery: Delivery) -> None:
        raise Reject("no text")

    await store.mailboxes.send("m", {"is": "m"})
    assert names(await work(store, handler, clock)) == ["Claimed", "DeadLettered"]
