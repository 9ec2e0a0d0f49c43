"""Purging: entries that ended long ago are removed, if that is asked for."""

import asyncio

import pytest
from tests.marks import every_backend
from tests.worker.support import FaultyBackend, Recorder, running

import treadle
from treadle import Store, StoreUnavailable
from treadle.worker import Claimed, Delivery, Done, Outage, Purged, Worker


async def nothing(delivery: Delivery) -> None:
    pass


@every_backend
async def test_what_ended_long_ago_is_purged(store: Store, recorder: Recorder) -> None:
    await store.mailboxes.send("m", 1)
    kept = await store.mailboxes.send("later", 2, delay_ms=60_000)
    async with running(Worker(store, nothing, purge_after_ms=20, on_event=recorder)):
        await recorder.wait_for(Done)
        [event] = await recorder.wait_for(Purged)
    assert event.count == 1
    page = await store.mailboxes.list()
    assert [entry.entry_id for entry in page.items] == [kept.entry_id]


async def test_what_ended_lately_is_kept(store: Store, recorder: Recorder) -> None:
    await store.mailboxes.send("m", 1)
    async with running(Worker(store, nothing, purge_after_ms=1_000, on_event=recorder)):
        await recorder.wait_for(Done)
        await asyncio.sleep(0.35)
    assert not recorder.of(Purged)
    assert (await store.mailboxes.stats()).accepted == 1


async def test_nothing_is_purged_unless_asked(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    async with running(Worker(faulty_store, nothing, on_event=recorder)):
        await recorder.wait_for(Done)
        await asyncio.sleep(0.25)
    assert (await faulty_store.mailboxes.stats()).accepted == 1


async def test_age_is_measured_by_the_stores_clock(recorder: Recorder) -> None:
    """A store whose clock is behind ours must not lose everything."""
    async with treadle.open_store("memory:", clock=lambda: 5_000_000) as store:
        await store.mailboxes.send("m", 1)
        async with running(Worker(store, nothing, purge_after_ms=1_000, on_event=recorder)):
            await recorder.wait_for(Done)
            await asyncio.sleep(0.25)
        assert (await store.mailboxes.stats()).accepted == 1
    assert not recorder.of(Purged)


@pytest.mark.parametrize("error", [StoreUnavailable("here", "gone"), OSError("broken")])
async def test_a_purge_that_fails_is_tried_again(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, error: Exception
) -> None:
    await faulty_store.mailboxes.send("m", 1)
    async with running(Worker(faulty_store, nothing, purge_after_ms=0, on_event=recorder)):
        await recorder.wait_for(Claimed)
        await recorder.wait_for(Done)

        def fail(name: str) -> None:
            if name == "commit" and not recorder.of(Outage):
                raise error

        faulty.before = fail
        await recorder.wait_for(Outage)
        await recorder.wait_for(Purged)
    assert {event.operation for event in recorder.of(Outage)} == {"purge"}
