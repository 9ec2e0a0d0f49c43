"""Waiting: it ends when there may be something to claim, and not long after its time."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from weft import Store, StoreClosed
from weft.backends.base import Guarantee
from weft.testing.actor import Actor
from weft.testing.builders import claim_one, entry
from weft.testing.clock import ManualClock
from weft.testing.conformance.bench import Bench
from weft.testing.conformance.check import Facet
from weft.testing.expect import expect, refused

facet = Facet("mailboxes")


LONG = 30_000
"""Milliseconds that no test waits for."""


@asynccontextmanager
async def waiting(
    store: Store, mailbox_id: str | None = None
) -> AsyncGenerator["asyncio.Task[None]"]:
    """A wait that is under way; it must have ended soon after the block."""
    task = asyncio.create_task(store.mailboxes.wait(LONG, mailbox_id=mailbox_id))
    try:
        await _begun(store)
        yield task
        await asyncio.wait_for(asyncio.shield(task), 5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _begun(store: Store) -> None:
    """Let a wait begin: it is asked before this is, and then gets some time."""
    await store.mailboxes.stats()
    await asyncio.sleep(0.01)


async def returns_at_once(store: Store, mailbox_id: str | None = None) -> bool:
    start = time.monotonic()
    await store.mailboxes.wait(LONG, mailbox_id=mailbox_id)
    return time.monotonic() - start < 5


async def takes_its_time(store: Store, mailbox_id: str | None = None) -> bool:
    start = time.monotonic()
    await store.mailboxes.wait(60, mailbox_id=mailbox_id)
    return 0.05 <= time.monotonic() - start < 5


@facet.check(Guarantee.WAITS_END)
async def wait_returns_at_once_when_something_is_due(store: Store) -> None:
    await store.mailboxes.send("box", None)
    assert await returns_at_once(store)
    assert await returns_at_once(store, "box")


@facet.check(Guarantee.WAITS_END)
async def wait_takes_its_time_when_there_is_nothing(store: Store) -> None:
    assert await takes_its_time(store)


@facet.check(Guarantee.WAITS_END, each=[0, -5])
async def a_wait_of_no_time_returns(store: Store, timeout_ms: int) -> None:
    start = time.monotonic()
    await store.mailboxes.wait(timeout_ms)
    assert time.monotonic() - start < 1


@facet.check(Guarantee.WAITS_END)
async def wait_takes_its_time_when_all_is_held_ended_or_elsewhere(store: Store) -> None:
    await store.mailboxes.enqueue(entry("held"))
    await store.mailboxes.enqueue(entry("behind it"))
    await store.mailboxes.enqueue(entry("ended", "other"))
    await store.mailboxes.cancel("ended")
    await store.mailboxes.claim_entry("held", consumer="w")
    assert await takes_its_time(store)
    await store.mailboxes.send("elsewhere", None)
    assert await takes_its_time(store, "box")
    assert await takes_its_time(store, "other")
    assert await returns_at_once(store)


@facet.check(Guarantee.WAITS_END)
async def wait_ends_when_something_is_sent(store: Store) -> None:
    async with waiting(store) as wait:
        assert not wait.done()
        await store.mailboxes.send("box", None)
    assert wait.done()


@facet.check(Guarantee.WAITS_END)
async def a_wait_on_a_mailbox_ends_when_something_is_sent_there(store: Store) -> None:
    async with waiting(store, "box") as wait:
        await store.mailboxes.send("other", None)
        await store.mailboxes.send("box", None)
    assert wait.done()


@facet.check(Guarantee.WAITS_END)
async def every_wait_ends_when_something_is_sent(store: Store) -> None:
    async with waiting(store) as one, waiting(store, "box") as other:
        await store.mailboxes.send("box", None)
    assert one.done()
    assert other.done()


@facet.check(Guarantee.WAITS_END)
async def wait_ends_when_something_falls_due(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None, delay_ms=20)
    async with waiting(store) as wait:
        clock.now += 20
    assert wait.done()


@facet.check(Guarantee.WAITS_END)
async def wait_ends_when_a_lease_runs_out(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await claim_one(store, lease_ms=20)
    async with waiting(store) as wait:
        clock.now += 20
    assert wait.done()


@facet.check(Guarantee.WAITS_END, each=["nack", "release", "ack", "cancel", "requeue", "interrupt"])
async def wait_ends_when_a_mailbox_is_free_again(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e"))
    claimed = await claim_one(store)
    if how == "requeue":
        await store.mailboxes.dead_letter(claimed)
    elif how in ("ack", "cancel"):
        await store.mailboxes.enqueue(entry("behind it"))
    async with waiting(store) as wait:
        match how:
            case "nack":
                await store.mailboxes.nack(claimed)
            case "release":
                await store.mailboxes.release(claimed)
            case "ack":
                await store.mailboxes.ack(claimed)
            case "cancel":
                await store.mailboxes.cancel("e")
            case "requeue":
                await store.mailboxes.requeue("e")
            case _:
                async with store.batch() as step:
                    step.mailboxes.interrupt("box")
                    step.mailboxes.send("box", None)
    assert wait.done()


@facet.check(Guarantee.WAITS_END, "shared", "notifies")
async def wait_ends_when_another_handle_sends(bench: Bench) -> None:
    other = await bench.open()
    async with waiting(bench.store) as wait:
        await other.mailboxes.send("box", None)
    assert wait.done()


async def wait_long(store: Store) -> None:
    """What another process does until it is woken."""
    await store.mailboxes.wait(LONG)


@facet.check(Guarantee.WAITS_END, "shared", "notifies")
async def wait_ends_when_another_process_sends(bench: Bench) -> None:
    with Actor(bench.subject, bench.place) as waiter:
        waiter.begin(wait_long)
        await asyncio.to_thread(waiter.settle)
        await bench.store.mailboxes.send("box", None)
        expect(await asyncio.to_thread(waiter.result, 5), None)


@facet.check(Guarantee.CANCELLATION_IS_SAFE)
async def a_wait_that_is_cancelled_leaves_the_store_usable(store: Store) -> None:
    wait = asyncio.create_task(store.mailboxes.wait(LONG))
    await _begun(store)
    wait.cancel()
    with refused(asyncio.CancelledError):
        await wait
    await store.mailboxes.send("box", None)
    assert await returns_at_once(store)


@facet.check(Guarantee.WAITS_END)
async def a_wait_ends_when_the_store_is_closed(store: Store) -> None:
    wait = asyncio.create_task(store.mailboxes.wait(LONG))
    await _begun(store)
    await store.close()
    with refused(StoreClosed):
        await asyncio.wait_for(wait, 5)
