"""Purging: entries that ended long ago are removed, if the worker is asked to."""

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    return_at_once,
    running,
)

from treadle import Store, StoreUnavailable
from treadle.core.endings import Purge
from treadle.testing import ManualClock
from treadle.worker import Done, Outage, Purged, Worker


@every_backend
async def test_an_entry_that_ended_long_ago_is_purged(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m", 1)
    kept = (await store.mailboxes.send("later", 2, delay_ms=60_000)).entry
    async with running(new_worker(store, return_at_once, purge_after_ms=1_000)):
        await recorder.wait_for(Done)
        clock.now += 2_000
        [event] = await recorder.wait_for(Purged)
    assert event.count == 1
    page = await store.mailboxes.list_entries()
    assert [entry.entry_id for entry in page.items] == [kept.entry_id]


async def test_an_entry_that_ended_lately_is_kept(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    async with running(new_worker(faulty_store, return_at_once, purge_after_ms=1_000)):
        await recorder.wait_for(Done)
        for _ in range(9):
            await advance(clock, 100)
        assert faulty.done["purge"] == 9
        assert (await faulty_store.mailboxes.count_entries()).accepted == 1
        await advance(clock, 200)
        assert len(recorder.of(Purged)) == 1


async def test_nothing_is_purged_unless_asked(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    async with running(new_worker(faulty_store, return_at_once)):
        await recorder.wait_for(Done)
        for _ in range(3):
            await advance(clock, 86_400_000)
    assert not any(isinstance(command, Purge) for batch in faulty.batches for command in batch)


async def test_age_is_measured_by_the_clock_of_the_store(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, clock: ManualClock
) -> None:
    """A store whose clock is behind the worker's must not lose everything."""
    clock.now = 5_000_000
    of_worker = ManualClock()
    await faulty_store.mailboxes.send("m", 1)
    worker = Worker(
        faulty_store, return_at_once, purge_after_ms=1_000, on_event=recorder, clock=of_worker
    )
    async with running(worker):
        await recorder.wait_for(Done)
        await advance(of_worker, 500)
        assert (await faulty_store.mailboxes.count_entries()).accepted == 1
    [[purge]] = [batch for batch in faulty.batches if isinstance(batch[0], Purge)]
    assert isinstance(purge, Purge)
    assert purge.older_than == 5_000_000 + 500 - 1_000


@pytest.mark.parametrize("error", [StoreUnavailable("here", "gone"), OSError("broken")])
async def test_a_purge_that_fails_is_tried_again(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
    error: Exception,
) -> None:
    await faulty_store.mailboxes.send("m", 1)

    def fail(name: str) -> None:
        if name == "purge" and not recorder.of(Outage):
            raise error

    faulty.before = fail
    async with running(new_worker(faulty_store, return_at_once, purge_after_ms=0)):
        await recorder.wait_for(Done)
        for _ in range(2):
            await advance(clock, 100)
    assert len(recorder.of(Purged)) == 1
    assert [event.operation for event in recorder.of(Outage)] == ["purge"]
