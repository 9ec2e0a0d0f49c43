"""More than a thousand of each: listings, counts and commands that take many are complete."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from treadle import Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_one, entry, run
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

COUNT = 1_030
NUMBERS = range(COUNT)
OFFSETS = (0, 200, 400, 600, 800, 1_000, 1_200)


async def expect_pages(read: Callable[..., Awaitable[Any]], key: Callable[[Any], str]) -> None:
    """Page through a listing of `COUNT` items, whose ids end with their numbers."""
    found: list[str] = []
    for offset in OFFSETS:
        page = await read(offset=offset, limit=200)
        expect((page.total, page.has_more), (COUNT, offset + 200 < COUNT))
        found += map(key, page.items)
    expect([key[-4:] for key in found], [f"{number:04}" for number in NUMBERS])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def more_than_a_thousand_threads_are_listed(store: Store) -> None:
    async with store.batch() as step:
        for number in NUMBERS:
            step.threads.create(Thread(id=f"t{number:04}", resource_id="owner"))
        step.threads.create(Thread(id="u"))
    await expect_pages(partial(store.threads.list, resource_id="owner"), str)
    expect((await store.threads.list()).total, COUNT + 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def more_than_a_thousand_runs_are_listed(store: Store) -> None:
    async with store.batch() as step:
        for number in NUMBERS:
            step.runs.upsert(run(f"r{number:04}", created_at=number + 1))
        step.runs.upsert(run("other", "u"))
    await expect_pages(partial(store.runs.list, thread_id="t"), lambda each: str(each.run_id))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def more_than_a_thousand_mailboxes_are_listed(store: Store) -> None:
    async with store.batch() as step:
        for number in NUMBERS:
            step.mailboxes.ensure(f"box {number:04}")
    await expect_pages(store.mailboxes.list, lambda each: str(each.mailbox_id))


async def send_many(store: Store) -> None:
    """Send more than a thousand entries to the mailbox `box`."""
    async with store.batch() as step:
        for number in NUMBERS:
            step.mailboxes.enqueue(
                entry(f"e{number:04}", created_at=number, dedupe_key=f"k{number}")
            )


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def more_than_a_thousand_entries_are_listed_and_counted(store: Store) -> None:
    await send_many(store)
    await store.mailboxes.send("other", None)
    await expect_pages(
        partial(store.mailboxes.list_entries, mailbox_id="box"),
        lambda each: str(each.entry_id),
    )
    expect((await store.mailboxes.count_entries("box")).queued, COUNT)
    expect((await store.mailboxes.count_entries()).queued, COUNT + 1)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def every_dedupe_key_of_a_deep_mailbox_is_known(store: Store) -> None:
    await send_many(store)
    for number in (0, 255, 256, 999, 1_000, COUNT - 1):
        sent = (await store.mailboxes.send("box", "again", dedupe_key=f"k{number}")).entry
        expect(sent.entry_id, f"e{number:04}")
    expect((await store.mailboxes.count_entries()).queued, COUNT)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_interrupt_supersedes_more_than_a_thousand_entries(store: Store) -> None:
    await send_many(store)
    interrupted = await store.mailboxes.interrupt("box")
    expect(len(interrupted.superseded_entries), COUNT)
    counts = await store.mailboxes.count_entries("box")
    expect((counts.queued, counts.superseded), (0, COUNT))


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def more_than_a_thousand_entries_are_cancelled_and_purged(
    store: Store, clock: ManualClock
) -> None:
    await send_many(store)
    cancelled = await store.mailboxes.cancel_pending("box")
    expect(len(cancelled), COUNT)
    expect((await store.mailboxes.count_entries()).cancelled, COUNT)
    expect(await store.mailboxes.purge(clock.now + 1), COUNT)
    expect((await store.mailboxes.list_entries()).total, 0)


@checks.add(Guarantee.ONE_HOLDER)
async def one_claim_takes_from_more_than_a_thousand_mailboxes(store: Store) -> None:
    async with store.batch() as step:
        for number in NUMBERS:
            step.mailboxes.enqueue(entry(f"e{number:04}", f"box {number}", created_at=number))
    claimed = await store.mailboxes.claim(COUNT + 10, consumer="w")
    expect([each.entry_id for each in claimed], [f"e{number:04}" for number in NUMBERS])
    expect(len({each.claim_token for each in claimed}), COUNT)
    expect(await store.mailboxes.claim(consumer="w"), ())


@checks.add(Guarantee.ONE_HOLDER)
async def a_deep_mailbox_is_claimed_in_order(store: Store) -> None:
    await send_many(store)
    for number in range(3):
        claimed = await claim_one(store)
        expect(claimed.entry_id, f"e{number:04}")
        await store.mailboxes.ack(claimed)
    async with store.batch() as step:
        for number in range(3, COUNT - 1):
            step.mailboxes.cancel(f"e{number:04}")
    expect((await claim_one(store)).entry_id, f"e{COUNT - 1:04}")
