"""`Snooze`: an entry is put off, and that counts as no attempt."""

from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import NewWorker, Recorder, until_idle

from treadle import InvalidValue, Store
from treadle.testing import ManualClock
from treadle.worker import Delivery, Released, Snooze


@every_backend
async def test_an_entry_is_put_off_as_often_as_it_takes(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.entry.attempt_count)
        if len(attempts) < 12:
            raise Snooze(delay_ms=1_000, reason="429")

    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(new_worker(store, handler, max_attempts=2))
    assert attempts == [1] * 12
    entry = await store.mailboxes.load_entry(sent.entry_id)
    assert entry is not None
    assert (entry.status, entry.attempt_count) == ("accepted", 1)
    assert recorder.names() == ["Claimed", "Released"] * 11 + ["Claimed", "Done"]
    assert {event.reason for event in recorder.of(Released)} == {"Snooze: 429"}


@every_backend
async def test_it_says_why_and_until_when(
    store: Store, clock: ManualClock, recorder: Recorder, new_worker: NewWorker
) -> None:
    recorder.skips_delays = False

    async def handler(delivery: Delivery) -> None:
        raise Snooze(delay_ms=60_000, reason="429")

    sent = (await store.mailboxes.send("m", 1)).entry
    await new_worker(store, handler).run(while_due=True)
    entry = await store.mailboxes.load_entry(sent.entry_id)
    assert entry is not None
    assert (entry.status, entry.last_error, entry.attempt_count) == ("queued", "Snooze: 429", 0)
    [event] = recorder.of(Released)
    assert event.retry_at == entry.available_at == clock.now + 60_000


@every_backend
@pytest.mark.parametrize("keep_order", [False, True])
async def test_it_keeps_its_order_as_a_retry_does(
    store: Store, new_worker: NewWorker, keep_order: bool
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery.entry.payload)
        if seen == ["first"]:
            raise Snooze(delay_ms=1_000)

    await store.mailboxes.send("m", "first")
    await store.mailboxes.send("m", "second")
    await until_idle(new_worker(store, handler, keep_order=keep_order))
    assert seen == ["first", *(["first", "second"] if keep_order else ["second", "first"])]


@every_backend
async def test_what_is_worked_together_is_put_off_together(
    store: Store, new_worker: NewWorker
) -> None:
    seen: list[list[object]] = []

    async def handler(delivery: Delivery) -> None:
        seen.append([entry.payload for entry in delivery.entries])
        if len(seen) < 3:
            raise Snooze(delay_ms=1_000)

    for number in range(3):
        await store.mailboxes.send("m", number)
    await until_idle(new_worker(store, handler, coalesce=3, max_attempts=2))
    assert seen == [[0, 1, 2]] * 3


@pytest.mark.parametrize("delay_ms", ["200", None, float("nan"), True])
def test_a_delay_is_a_number(delay_ms: Any) -> None:
    with pytest.raises(InvalidValue, match=r"snooze\.delay_ms"):
        Snooze(delay_ms=delay_ms)
