"""Cancellation: the write of a cancelled caller is done or not, and the store stays usable."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

from treadle import Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_one, entry, loaded, run, says, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import all_entries
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.sample_data import READS, Read
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


LONG_DONE = 1_000
TURNS = (*range(12), 20, 50, 100, 200, 500, LONG_DONE)
"""After how many turns of the event loop a caller is cancelled: at each await, to long done."""


async def cancel_after(turns: int, call: Awaitable[Any]) -> bool:
    """Cancel a call after so many turns, and wait for its end; whether it had ended before."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        raise AssertionError("a cancelled call went on as if it were not") from task.exception()
    return False


def turns_to_the_end() -> Iterator[int]:
    """The same turns, and then more and more of them, until the slowest call comes to its end."""
    yield from TURNS
    for doubled in range(1, 20):
        yield LONG_DONE * 2**doubled


async def commit_step(store: Store, number: int) -> None:
    async with store.batch() as step:
        step.threads.append("t", says(f"m{number}"))
        step.runs.upsert(run(f"r{number}"))
        step.mailboxes.send("box", number, dedupe_key=f"k{number}")


async def settled(store: Store) -> None:
    """See that a write whose caller went away is over: a later one of its kind comes after it."""
    await store.mailboxes.ensure("barrier")
    await store.mailboxes.claim(consumer="barrier", lease_ms=1, mailbox_id="barrier")


async def parts_done(store: Store, number: int) -> set[bool]:
    """Which parts of `commit_step` are there: one value, if it is whole or absent."""
    await settled(store)
    return {
        f"m{number}" in await texts(store, "t"),
        await store.runs.load(f"r{number}") is not None,
        any(each.dedupe_key == f"k{number}" for each in await all_entries(store)),
    }


@checks.add(Guarantee.CANCELLATION_IS_SAFE)
async def a_cancelled_commit_is_whole_or_absent_and_the_next_one_works(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    for turns in turns_to_the_end():
        ended = await cancel_after(turns, commit_step(store, turns))
        done = await parts_done(store, turns)
        expect(len(done), 1)
        assert not ended or done == {True}, "it had returned, and is not there"
        if ended and turns >= LONG_DONE:
            break
    await commit_step(store, -1)
    expect(await parts_done(store, -1), {True})


@checks.add(Guarantee.CANCELLATION_IS_SAFE, "durable")
async def a_cancelled_commit_is_the_same_after_reopening(harness: Harness) -> None:
    await harness.store.threads.create(Thread(id="t"))
    tried: list[int] = []
    for turns in turns_to_the_end():
        tried.append(turns)
        if await cancel_after(turns, commit_step(harness.store, turns)) and turns >= LONG_DONE:
            break
    before = [await parts_done(harness.store, turns) for turns in tried]
    await harness.store.close()
    store = await harness.open()
    expect([await parts_done(store, turns) for turns in tried], before)
    expect(before[-1], {True})


@checks.add(Guarantee.CANCELLATION_IS_SAFE)
async def an_entry_of_a_cancelled_claim_can_be_claimed_when_its_lease_has_expired(
    store: Store, clock: ManualClock
) -> None:
    for turns in turns_to_the_end():
        await store.mailboxes.enqueue(entry(f"e{turns}", f"box {turns}"))
        call = store.mailboxes.claim(consumer="gone", lease_ms=100, mailbox_id=f"box {turns}")
        ended = await cancel_after(turns, call)
        await settled(store)
        found = await loaded(store, f"e{turns}")
        assert (found.status, found.claimed_by) in (("queued", None), ("claimed", "gone"))
        clock.now += 100
        again = await claim_one(store, f"box {turns}", consumer="next")
        expect(again.attempt_count, found.attempt_count + 1)
        assert not ended or found.status == "claimed", "it had returned, and is not held"
        if ended and turns >= LONG_DONE:
            break


WAIT: dict[str, Read] = {"wait": lambda store: store.mailboxes.wait(30_000)}


@checks.add(Guarantee.CANCELLATION_IS_SAFE, each=READS | WAIT)
async def a_cancelled_read_leaves_the_store_usable(store: Store, read: Read) -> None:
    await store.threads.create(Thread(id="t"))
    for turns in TURNS:
        await cancel_after(turns, read(store))
        await store.threads.append("t", says(str(turns)))
    expect(await texts(store, "t"), [str(turns) for turns in TURNS])


@checks.add(Guarantee.CANCELLATION_IS_SAFE, each=TURNS)
async def a_cancelled_commit_does_not_affect_those_committed_with_it(
    store: Store, turns: int
) -> None:
    await store.threads.create(Thread(id="t"))
    tasks = [asyncio.ensure_future(commit_step(store, number)) for number in range(10)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    expect(outcomes[1::2], [None] * 5)
    for number, outcome in enumerate(outcomes):
        done = await parts_done(store, number)
        expect(len(done), 1)
        assert outcome is not None or done == {True}


@checks.add(Guarantee.CANCELLATION_IS_SAFE)
async def a_timeout_cancels_a_commit(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    with refused(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(0)
            await commit_step(store, 1)
    expect(len(await parts_done(store, 1)), 1)
    await commit_step(store, 2)
    expect(await parts_done(store, 2), {True})


@checks.add(Guarantee.CANCELLATION_IS_SAFE, "durable", each=TURNS)
async def a_store_can_be_closed_and_opened_after_a_cancelled_close(
    harness: Harness, turns: int
) -> None:
    await harness.store.threads.create(Thread(id="t"))
    await cancel_after(turns, harness.store.close())
    await harness.store.close()
    another = await harness.open()
    expect((await another.threads.append("t", says("x"))).version, 1)
