"""Waits: they end when there may be something to claim, and not long after their time.

A wait may return early, so a worker claims and waits in a loop. The checks test that such a worker
gets its work soon, and that its loop does not spin.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from treadle import MailboxEntry, Store, StoreClosed
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_ids, claim_one, enqueue, entry
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import ChildProcess
from treadle.testing._harness.expect import expect
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


LONG = 30_000
"""Milliseconds that no check waits for."""
SOON_SECONDS = 5
"""How late a wait may end, on a machine that has much else to do."""


async def work(store: Store, mailbox_id: str | None = None) -> MailboxEntry:
    """What a worker gets that claims whenever a wait ends."""
    while True:
        claimed = await store.mailboxes.claim(consumer="waiter", mailbox_id=mailbox_id)
        if claimed:
            return claimed[0]
        await store.mailboxes.wait(LONG, mailbox_id=mailbox_id)
        await asyncio.sleep(0)  # a wait that ends at once may not have let others run


@asynccontextmanager
async def worker(
    store: Store, mailbox_id: str | None = None
) -> AsyncGenerator["asyncio.Task[MailboxEntry]"]:
    """A worker that waits; it must have got something soon after the block."""
    task = asyncio.create_task(work(store, mailbox_id))
    try:
        await begun(store)
        yield task
        await soon(task)
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def begun(store: Store) -> None:
    """Let a wait begin: it is asked before this is, and then gets some time."""
    await store.mailboxes.count_entries()
    await asyncio.sleep(0.01)


async def soon(task: "asyncio.Task[MailboxEntry] | asyncio.Task[None]") -> None:
    """Let a task end, which must be soon; how it ends is left open."""
    done, _ = await asyncio.wait([task], timeout=SOON_SECONDS)
    assert done, f"it still waited {SOON_SECONDS} s later"


async def wait_soon(store: Store, mailbox_id: str | None = None) -> None:
    """A wait that must return soon, though it might take long."""
    await with_timeout(store.mailboxes.wait(LONG, mailbox_id=mailbox_id), SOON_SECONDS)


async def expect_rest(store: Store, mailbox_id: str | None = None, **options: Any) -> None:
    """Fail if it takes many waits to let some time pass in which there is nothing to claim."""
    waits, end = 0, time.monotonic() + 0.06
    while (left := end - time.monotonic()) > 0:
        assert waits < 10, "waits return at once, though there is nothing to claim"
        wait = store.mailboxes.wait(int(left * 1000) + 1, mailbox_id=mailbox_id, **options)
        await with_timeout(wait)
        waits += 1
    assert time.monotonic() - end < SOON_SECONDS, "a wait went on long after its time"


@checks.add(Guarantee.WAITS_END)
async def wait_returns_at_once_when_something_is_due(store: Store) -> None:
    await store.mailboxes.send("box", None)
    await wait_soon(store)
    await wait_soon(store, "box")


@checks.add(Guarantee.WAITS_END)
async def wait_returns_at_once_when_a_lease_has_expired(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=100)
    clock.now += 100
    await wait_soon(store)
    await wait_soon(store, "box")


@checks.add(Guarantee.WAITS_END)
async def wait_uses_its_whole_time_when_there_is_nothing_to_claim(store: Store) -> None:
    await expect_rest(store)


@checks.add(Guarantee.WAITS_END, each=[0, -5])
async def a_wait_of_no_time_returns_at_once(store: Store, timeout_ms: int) -> None:
    await with_timeout(store.mailboxes.wait(timeout_ms), SOON_SECONDS)


@checks.add(Guarantee.WAITS_END)
async def wait_uses_its_whole_time_when_every_entry_is_held_ended_later_or_elsewhere(
    store: Store,
) -> None:
    await enqueue(store, entry("held", priority=9), entry("behind it"), entry("ended", "other"))
    await store.mailboxes.cancel("ended")
    await claim_one(store)
    await store.mailboxes.send("other", None, delay_ms=10**9)
    await expect_rest(store)
    await store.mailboxes.send("elsewhere", None)
    await expect_rest(store, "box")
    await expect_rest(store, "other")
    await wait_soon(store)


@checks.add(Guarantee.WAITS_END)
async def wait_ends_when_something_is_sent(store: Store) -> None:
    async with worker(store) as waiter:
        sent = (await store.mailboxes.send("box", None)).entry
    expect((await waiter).entry_id, sent.entry_id)


@checks.add(Guarantee.WAITS_END)
async def a_wait_on_a_mailbox_ends_when_something_is_sent_there(store: Store) -> None:
    async with worker(store, "box") as waiter:
        await store.mailboxes.send("other", None)
        sent = (await store.mailboxes.send("box", None)).entry
    expect((await waiter).entry_id, sent.entry_id)


@checks.add(Guarantee.WAITS_END)
async def every_wait_ends_when_something_is_sent(store: Store) -> None:
    async with (
        worker(store, "box") as one,
        worker(store, "other") as other,
        store.batch() as step,
    ):
        step.mailboxes.send("box", "for one")
        step.mailboxes.send("other", "for the other")
    expect([(await each).payload for each in (one, other)], ["for one", "for the other"])


@checks.add(Guarantee.WAITS_END)
async def wait_ends_when_something_falls_due(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None, delay_ms=10**9)
    sent = (await store.mailboxes.send("box", None, delay_ms=20)).entry
    async with worker(store) as waiter:
        clock.now += 20
    expect((await waiter).entry_id, sent.entry_id)


@checks.add(Guarantee.WAITS_END)
async def wait_ends_when_a_lease_expires(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None, delay_ms=10**9)
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=20)
    async with worker(store) as waiter:
        clock.now += 20
    expect((await waiter).attempt_count, 2)


async def free(store: Store, claimed: MailboxEntry, how: str) -> None:
    """Let the mailbox have something to claim again."""
    match how:
        case "nack":
            await store.mailboxes.nack(claimed)
        case "release":
            await store.mailboxes.release(claimed)
        case "ack":
            await store.mailboxes.ack(claimed)
        case "dead letter":
            await store.mailboxes.dead_letter(claimed)
        case "cancel":
            await store.mailboxes.cancel("e")
        case "supersede":
            await store.mailboxes.supersede("e", "newer")
        case "a shorter lease":
            await store.mailboxes.extend_lease(claimed, extension_ms=0)
        case _:
            async with store.batch() as step:
                step.mailboxes.interrupt("box")
                step.mailboxes.send("box", None)


FREES = ("nack", "release", "a shorter lease", "interrupt")
ENDS = ("ack", "dead letter", "cancel", "supersede")


@checks.add(Guarantee.WAITS_END, each=(*FREES, *ENDS))
async def wait_ends_when_a_mailbox_is_free_again(store: Store, how: str) -> None:
    await enqueue(store, entry("e", priority=1))
    claimed = await claim_one(store)
    if how in ENDS:
        await enqueue(store, entry("behind it"))
    async with worker(store):
        await free(store, claimed, how)


@checks.add(Guarantee.WAITS_END)
async def wait_ends_when_a_dead_letter_is_requeued(store: Store) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.dead_letter(await claim_one(store))
    async with worker(store):
        await store.mailboxes.requeue("e")


@checks.add(Guarantee.WAITS_END, "shared", "notifies")
async def wait_ends_when_another_handle_sends(harness: Harness) -> None:
    other = await harness.open()
    async with worker(harness.store) as waiter:
        sent = (await other.mailboxes.send("box", None)).entry
    expect((await waiter).entry_id, sent.entry_id)


@checks.add(Guarantee.WAITS_END, "shared", "notifies")
async def wait_ends_when_another_process_sends(harness: Harness) -> None:
    with ChildProcess(harness.subject, harness.folder) as waiter:
        waiter.begin(claim_ids)  # so that what follows is its wait
        expect(await asyncio.to_thread(waiter.result), [])
        waiter.begin(work)
        await asyncio.to_thread(waiter.await_answer_or_block, 0.2)
        sent = (await harness.store.mailboxes.send("box", None)).entry
        claimed = await asyncio.to_thread(waiter.result, SOON_SECONDS)
    expect(claimed["entry_id"], sent.entry_id)


@checks.add(Guarantee.CANCELLATION_IS_SAFE)
async def a_wait_that_is_cancelled_leaves_the_store_usable(store: Store) -> None:
    wait = asyncio.create_task(store.mailboxes.wait(LONG))
    await begun(store)
    wait.cancel()
    await soon(wait)
    async with worker(store):
        await store.mailboxes.send("box", None)


@checks.add(Guarantee.WAITS_END)
async def a_wait_ends_when_the_store_is_closed(store: Store) -> None:
    wait = asyncio.create_task(store.mailboxes.wait(LONG))
    await begun(store)
    await store.close()
    await soon(wait)
    with suppress(StoreClosed):
        await wait
