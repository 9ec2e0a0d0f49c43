"""Durability: acknowledged writes are kept, for every handle, and after all were closed."""

import asyncio

from treadle import Committed, Store, StoreClosed, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_ids, enqueue, entry, head_of, run, says, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.sample_data import MAILBOXES, READS, WRITES, Read, fill

checks = Checks(__name__)


# --- after closing --------------------------------------------------------------------------------


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable", each=tuple(WRITES))
async def a_write_is_kept_when_the_store_is_reopened(harness: Harness, name: str) -> None:
    sample = await fill(harness.store)
    async with harness.store.batch() as step:
        WRITES[name](step, sample)
    await expect_same_after_reopening(harness)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_claim_is_kept_when_the_store_is_reopened(harness: Harness) -> None:
    await enqueue(harness.store, entry("e"))
    expect(await claim_ids(harness.store), ["e"])
    await expect_same_after_reopening(harness)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_reopened_store_continues_where_it_was(harness: Harness) -> None:
    sample = await fill(harness.store)
    await harness.store.close()
    store = await harness.open()
    expect(await store.threads.append("t", says("three"), expected=3), Committed(version=4))
    expect(await texts(store, "t"), ["one", "two", "three"])
    expect((await store.mailboxes.send("box", None, dedupe_key="known")).entry.entry_id, "queued")
    expect((await store.mailboxes.send("third", None)).entry.generation, 1)
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine)
        step.mailboxes.ack(sample.mine)
    await store.mailboxes.ack(sample.held)
    expect(len(await claim_ids(store, mailbox_id="box")), 1)


async def expect_same_after_reopening(harness: Harness) -> None:
    """Close all and open it again, twice: the second time nothing is left to be finished."""
    before = await read_everything(harness.store, MAILBOXES)
    await harness.store.close()
    for _ in range(2):
        store = await harness.open()
        expect(await read_everything(store, MAILBOXES), before)
        await store.close()


@checks.add(Guarantee.ALL_OR_NOTHING, "durable", each=[0, 1, 2, 5, 20])
async def a_call_that_meets_closing_is_done_and_kept_or_refused(
    harness: Harness, turns: int
) -> None:
    store = harness.store
    await store.threads.create(Thread(id="t"))
    appends = [asyncio.ensure_future(store.threads.append("t", says(str(n)))) for n in range(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await store.close()
    results = await asyncio.gather(*appends, return_exceptions=True)
    done = [str(n) for n, each in enumerate(results) if not isinstance(each, StoreClosed)]
    expect(await texts(await harness.open(), "t"), done)


CALLS: dict[str, Read] = {
    **READS,
    "append": lambda store: store.threads.append("t", says("x")),
    "claim": lambda store: store.mailboxes.claim(consumer="w"),
    "wait": lambda store: store.mailboxes.wait(10),
}


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_closed_store_refuses_every_call(store: Store) -> None:
    await fill(store)
    await store.close()
    await store.close()
    for call in CALLS.values():
        with refused(StoreClosed):
            await call(store)


# --- through another handle -----------------------------------------------------------------------


@checks.add(Guarantee.ONE_ORDER, "shared", each=tuple(WRITES))
async def every_handle_sees_the_writes_of_the_others(harness: Harness, name: str) -> None:
    one, other = harness.store, await harness.open()
    sample = await fill(one)
    expect(await read_everything(other, MAILBOXES), await read_everything(one, MAILBOXES))
    async with one.batch() as step:
        WRITES[name](step, sample)
    found = await read_everything(other, MAILBOXES)
    expect(found, await read_everything(one, MAILBOXES))
    expect(await read_everything(await harness.open(), MAILBOXES), found)


@checks.add(Guarantee.ONE_ORDER, "shared")
async def handles_that_take_turns_leave_no_gap_in_the_versions(harness: Harness) -> None:
    handles = [harness.store, await harness.open(), await harness.open()]
    await harness.store.threads.create(Thread(id="t"))
    for version in range(12):
        store = handles[version % 3]
        done = await store.threads.append("t", says(str(version)), expected=version)
        expect(done, Committed(version=version + 1))
    for store in handles:
        expect(await texts(store, "t"), [str(version) for version in range(12)])


@checks.add(Guarantee.ONE_ORDER, "shared")
async def handles_that_write_at_the_same_time_lose_and_repeat_nothing(harness: Harness) -> None:
    handles = [harness.store, await harness.open(), await harness.open()]
    await harness.store.threads.create(Thread(id="t"))
    await enqueue(harness.store, *(entry(f"e{n}", f"box {n}") for n in range(10)))

    async def work(number: int) -> tuple[int, list[str]]:
        store = handles[number % 3]
        done = await store.threads.append("t", says(str(number)))
        return done.version, await claim_ids(store, 1)

    results = await asyncio.gather(*map(work, range(30)))
    expect(sorted(version for version, _ in results), list(range(1, 31)))
    expect(sorted(await texts(handles[1], "t"), key=int), [str(n) for n in range(30)])
    expect(sorted(key for _, ids in results for key in ids), [f"e{n}" for n in range(10)])


# --- while others write ---------------------------------------------------------------------------


@checks.add(Guarantee.ONE_ORDER)
async def a_read_beside_writes_shows_one_moment(store: Store) -> None:
    await store.threads.create(Thread(id="t"))

    async def write() -> None:
        for number in range(150):
            async with store.batch() as step:
                step.threads.append("t", says(str(number)))
                step.runs.upsert(run(f"r{number:03}"))

    writing = asyncio.ensure_future(write())

    async def read() -> None:
        while not writing.done():
            head = await head_of(store)
            expect(len(head.thread.messages), head.version)
            page = await store.runs.list(limit=200)
            expect(len(page.items), page.total)

    await asyncio.gather(writing, *(read() for _ in range(3)))
