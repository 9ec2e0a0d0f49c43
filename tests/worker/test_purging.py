"""Purging: entries that ended long ago are removed, if the worker is asked to."""

import asyncio
from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    FaultyBackend,
    NewWorker,
    Recorder,
    advance,
    return_at_once,
    running,
    settle,
)

from treadle import Store, StoreUnavailable
from treadle.core.document_expiry import PurgeDocuments
from treadle.core.mailbox_deletion import Purge
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


@every_backend
@pytest.mark.parametrize(
    "options", [{"purge_after_ms": 1_000}, {"purge_documents": True}], ids=["with entries", "alone"]
)
async def test_documents_that_have_expired_are_purged(
    store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
    options: dict[str, Any],
) -> None:
    for number in range(3):
        await store.documents.put("c", f"old {number}", 1, expires_in_ms=500)
    await store.documents.put("c", "later", 1, expires_in_ms=86_400_000)
    await store.documents.put("c", "stays", 1)
    async with running(new_worker(store, return_at_once, **options)):
        await settle()
        clock.now += 700_000
        [event] = await recorder.wait_for(Purged)
    assert (event.count, event.documents) == (0, 3)
    assert await store.documents.list_expired() == ()
    left = await store.documents.list("c", now=0)
    assert [each.key for each in left.items] == [("later",), ("stays",)]


async def test_a_round_purges_a_bounded_number_of_documents(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    for start in range(0, 5_300, 100):
        async with faulty_store.batch() as step:
            for number in range(start, start + 100):
                step.documents.put("c", str(number), 1, expires_in_ms=5)
    faulty.batches.clear()
    async with running(new_worker(faulty_store, return_at_once, purge_documents=True)):
        await advance(clock, 600_000)
        first = await recorder.wait_for(Purged)
        largest = max(
            len(command.among or ())
            for batch in faulty.batches
            for command in batch
            if isinstance(command, PurgeDocuments)
        )
        await advance(clock, 600_000)
        both = await recorder.wait_for(Purged, 2)
    assert [event.documents for event in first] == [5_000]
    assert largest == 200
    assert [event.documents for event in both] == [5_000, 300]


async def test_a_document_that_is_written_again_meanwhile_stays(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    clock: ManualClock,
    new_worker: NewWorker,
) -> None:
    await faulty_store.documents.put("c", "old", 1, expires_in_ms=5)
    await faulty_store.documents.put("c", "again", 1, expires_in_ms=5)
    faulty.gates["commit"] = asyncio.Event()
    async with running(new_worker(faulty_store, return_at_once, purge_documents=True)):
        calls = faulty.calls["commit"]
        await advance(clock, 600_000)
        await faulty.called("commit", calls + 1)
        gate = faulty.gates.pop("commit")
        await faulty_store.documents.put("c", "again", 2)
        gate.set()
        [event] = await recorder.wait_for(Purged)
    assert event.documents == 1
    assert await faulty_store.documents.load("c", "again") is not None


async def test_documents_stay_if_that_is_said(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.documents.put("c", "old", 1, expires_in_ms=5)
    await store.mailboxes.send("m", 1)
    options: dict[str, Any] = {"purge_after_ms": 1_000, "purge_documents": False}
    async with running(new_worker(store, return_at_once, **options)):
        await recorder.wait_for(Done)
        clock.now += 2_000
        [event] = await recorder.wait_for(Purged)
    assert (event.count, event.documents) == (1, 0)
    assert len(await store.documents.list_expired()) == 1


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
    await faulty_store.documents.put("c", "k", 1, expires_in_ms=5)
    async with running(new_worker(faulty_store, return_at_once)):
        await recorder.wait_for(Done)
        for _ in range(3):
            await advance(clock, 86_400_000)
    purges = (Purge, PurgeDocuments)
    assert not any(isinstance(command, purges) for batch in faulty.batches for command in batch)


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
    assert purge.ended_before == 5_000_000 + 500 - 1_000


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
