"""Coalescing: several entries of a mailbox are one delivery, and end together."""

from collections.abc import Sequence

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    AT_ONCE,
    Blocked,
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    payloads_of,
    return_at_once,
    running,
    says,
    send_all,
    statuses,
    texts,
    until_idle,
    until_renewed,
)

from treadle import (
    ClaimConflict,
    InvalidValue,
    Store,
    StoreUnavailable,
    Thread,
)
from treadle.core.claims import Ack, Hold
from treadle.testing import ManualClock
from treadle.worker import (
    Claimed,
    DeadLettered,
    Delivery,
    Done,
    Outage,
    Reject,
    Released,
    Retried,
    Withdrawn,
    Worker,
)
from treadle.worker._attempt import Attempt
from treadle.worker._executor import Executor

pytestmark = pytest.mark.usefixtures("thread")


@every_backend
async def test_several_entries_of_a_mailbox_are_one_delivery(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[list[object]] = []

    async def handler(delivery: Delivery) -> None:
        assert delivery.entry == delivery.entries[0]
        seen.append(payloads_of(delivery.entries))
        async with delivery.batch() as step:
            step.threads.append(delivery.entry.mailbox_id, says(str(payloads_of(delivery.entries))))
        assert delivery.settled

    await store.threads.create(Thread(id="other"))
    await send_all(store, 1, 2, 3, 4, 5)
    await store.mailboxes.send("other", "elsewhere")
    await until_idle(new_worker(store, handler, coalesce=3))
    assert sorted(seen, key=str) == [["elsewhere"], [1, 2, 3], [4, 5]]
    assert await texts(store, "t") == ["[1, 2, 3]", "[4, 5]"]
    assert payloads_of([each.entry for each in recorder.of(Done)]).count(3) == 1
    assert len(recorder.of(Claimed)) == len(recorder.of(Done)) == 6


async def test_a_claim_that_is_lost_as_the_handler_ends_takes_the_others_with_it(
    store: Store, recorder: Recorder, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are one turn, so nothing of it is accepted."""
    accept = Executor.accept
    is_lost = False

    async def lose_and_accept(self: Executor, attempts: Sequence[Attempt]) -> None:
        nonlocal is_lost
        if not is_lost:
            is_lost = True
            attempts[0].leases[1].lose("the store says so")
        await accept(self, attempts)

    monkeypatch.setattr(Executor, "accept", lose_and_accept)
    await send_all(store, 1, 2)
    async with running(new_worker(store, return_at_once, coalesce=2)):
        [released] = await recorder.wait_for(Released)
    assert released.entry.payload == 1


async def test_entries_are_delivered_one_by_one_by_default(
    store: Store, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(payloads_of(delivery.entries))

    await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler))
    assert seen == [[1], [2]]


async def test_all_entries_are_fenced_and_accepted_in_one_commit(
    faulty: FaultyBackend, faulty_store: Store, new_worker: NewWorker
) -> None:
    await send_all(faulty_store, 1, 2, 3)
    await until_idle(new_worker(faulty_store, return_at_once, coalesce=5))
    assert [type(command) for command in faulty.batches[-1]] == [Hold] * 3 + [Ack] * 3


async def test_a_failure_is_retried_with_all_entries_in_their_order(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append([(each.payload, each.attempt_count) for each in delivery.entries])
        if len(seen) == 1:
            await send_all(store, "behind")
            raise ValueError("no")

    await send_all(store, 1, 2, 3)
    await until_idle(new_worker(store, handler, coalesce=3))
    assert seen == [[(1, 1), (2, 1), (3, 1)], [(1, 2), (2, 2), (3, 2)], [("behind", 1)]]
    assert len({each.retry_at for each in recorder.of(Retried)}) == 1


async def test_an_entry_that_always_fails_takes_no_others_with_it(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(payloads_of(delivery.entries))
        if "poison" in payloads_of(delivery.entries):
            raise ValueError("no")

    await send_all(store, 1, 2, "poison", 3)
    await until_idle(new_worker(store, handler, coalesce=4, max_attempts=3, backoff=AT_ONCE))
    together = [1, 2, "poison", 3]
    assert seen == [together, together, [1], [2], ["poison"], [3]]
    assert payloads_of([each.entry for each in recorder.of(DeadLettered)]) == ["poison"]
    assert payloads_of([each.entry for each in recorder.of(Done)]) == [1, 2, 3]


async def test_with_one_attempt_a_failure_ends_all_entries(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        raise ValueError("no")

    await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler, coalesce=2, max_attempts=1))
    assert payloads_of([each.entry for each in recorder.of(DeadLettered)]) == [1, 2]


async def test_a_rejection_is_about_the_first_entry(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 1:
            raise Reject("never")

    await send_all(store, 1, 2, 3)
    await until_idle(new_worker(store, handler, coalesce=3))
    expected = {1: ("dead_letter", 1), 2: ("accepted", 1), 3: ("accepted", 1)}
    assert await statuses(store) == expected
    assert payloads_of([each.entry for each in recorder.of(Released)]) == [2, 3]


@every_backend
async def test_an_interrupt_ends_a_delivery_of_several(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    blocked = Blocked()
    await send_all(store, 1, 2, 3)
    async with running(new_worker(store, blocked, coalesce=3)):
        await recorder.wait_for(Claimed, 3)
        await store.mailboxes.interrupt("t")
        await blocked.any_cancelled.wait()
        assert len(await recorder.wait_for(Withdrawn, 3)) == 3


@every_backend
async def test_a_cancelled_entry_ends_the_delivery_and_the_others_come_again(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    blocked = Blocked()
    _, second, _ = await send_all(store, 1, 2, 3)
    async with running(new_worker(store, blocked, coalesce=3)):
        await recorder.wait_for(Claimed, 3)
        await store.mailboxes.cancel(second.entry_id)
        await blocked.any_cancelled.wait()
        await recorder.wait_for(Claimed, 5)
        blocked.free.set()
        await recorder.wait_for(Done, 2)
    expected = {1: ("accepted", 1), 2: ("cancelled", 1), 3: ("accepted", 1)}
    assert await statuses(store) == expected


async def test_a_batch_writes_nothing_if_one_of_the_entries_is_lost(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    conflicts: list[ClaimConflict] = []

    async def handler(delivery: Delivery) -> None:
        if conflicts:
            return
        await store.mailboxes.cancel(delivery.entries[1].entry_id)
        try:
            async with delivery.batch() as step:
                step.threads.append("t", says("never"))
        except ClaimConflict as conflict:
            conflicts.append(conflict)
            raise

    await send_all(store, 1, 2)
    await until_idle(new_worker(store, handler, coalesce=2))
    assert conflicts
    assert await texts(store, "t") == []
    assert await statuses(store) == {1: ("accepted", 1), 2: ("cancelled", 1)}


async def test_a_pause_releases_all_entries_and_they_come_again_together(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        seen.append([(each.payload, each.attempt_count) for each in delivery.entries])
        if len(seen) == 1:
            async with delivery.pause(reason="may I?"):
                pass

    await send_all(store, 1, 2)
    async with running(new_worker(store, handler, coalesce=2)):
        await recorder.wait_for(Released, 2)
        await store.mailboxes.resume("t")
        await recorder.wait_for(Done, 2)
    assert seen == [[(1, 1), (2, 1)]] * 2


async def test_a_stop_releases_all_entries(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await send_all(store, 1, 2)
    async with running(new_worker(store, Blocked(), coalesce=2, grace_ms=0)):
        await recorder.wait_for(Claimed, 2)
    assert await statuses(store) == {1: ("queued", 0), 2: ("queued", 0)}


async def test_all_entries_are_renewed(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    blocked = Blocked()
    await send_all(store, 1, 2)
    async with running(new_worker(store, blocked, coalesce=2, lease_ms=300)):
        for claimed in await recorder.wait_for(Claimed, 2):
            await until_renewed(store, clock, claimed.entry)
        for _ in range(10):
            await advance(clock, 100)
            assert await store.mailboxes.claim(consumer="thief") == ()
        blocked.free.set()
        await recorder.wait_for(Done, 2)


async def test_what_is_not_available_at_first_is_coalesced_later(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    await send_all(faulty_store, 1, 2)
    seen: list[object] = []
    failures = ["once"]

    def fail(name: str) -> None:
        if name == "commit" and failures:
            raise StoreUnavailable("store", failures.pop())

    async def handler(delivery: Delivery) -> None:
        seen.append(payloads_of(delivery.entries))

    faulty.before = fail
    async with running(new_worker(faulty_store, handler, coalesce=2)):
        [outage] = await recorder.wait_for(Outage)
        assert outage.operation == "take"
        await advance(clock, outage.retry_in_ms)
        await recorder.wait_for(Done, 2)
    assert seen == [[1, 2]]


@pytest.mark.parametrize("coalesce", [0, -1, True, "2", None])
def test_coalesce_is_a_number_of_entries(store: Store, coalesce: int) -> None:
    with pytest.raises(InvalidValue, match="coalesce"):
        Worker(store, return_at_once, coalesce=coalesce)
