"""The fence: a batch with a hold is committed only while its claim is held."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.builders import claim_one, entry, says, status, texts
from tests.clocks import ManualClock
from tests.documents import read_everything
from tests.store.stock import MAILBOXES, WRITES, claim, fill
from weft import ClaimConflict, Store, Thread, open_store


async def take(store: Store, clock: ManualClock) -> None:
    clock.now += 30_000
    await claim(store, "mine")


async def run_out(store: Store, clock: ManualClock) -> None:
    clock.now += 30_000


async def end(store: Store, clock: ManualClock) -> None:
    found = await store.mailboxes.load("mine")
    assert found is not None
    await store.mailboxes.ack(found)


async def release(store: Store, clock: ManualClock) -> None:
    found = await store.mailboxes.load("mine")
    assert found is not None
    await store.mailboxes.release(found)


async def cancel(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.cancel("mine")


async def interrupt(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.interrupt("mine")


async def remove(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.cancel("mine", now=5)
    await store.mailboxes.purge(100)


LOSSES: dict[str, tuple[Callable[[Store, ManualClock], Awaitable[None]], str]] = {
    "taken by another": (take, "not with this token"),
    "its lease ran out": (run_out, "ran out"),
    "settled": (end, "it is accepted"),
    "released": (release, "it is queued"),
    "cancelled": (cancel, "it is cancelled"),
    "interrupted": (interrupt, "it is superseded"),
    "gone": (remove, "gone"),
}


@pytest.mark.parametrize(("lose", "reason"), LOSSES.values(), ids=LOSSES)
async def test_who_lost_the_claim_can_write_nothing_anywhere(
    store: Store,
    clock: ManualClock,
    lose: Callable[[Store, ManualClock], Awaitable[None]],
    reason: str,
) -> None:
    stock = await fill(store)
    await lose(store, clock)
    before = await read_everything(store, MAILBOXES)
    for name, write in WRITES.items():
        for hold_first in (True, False):
            with pytest.raises(ClaimConflict) as caught:
                async with store.batch() as step:
                    if hold_first:
                        step.mailboxes.hold(stock.mine)
                    write(step, stock)
                    if not hold_first:
                        step.mailboxes.hold(stock.mine)
            assert caught.value.entry_id == "mine", name
            assert reason in caught.value.reason, name
            assert await read_everything(store, MAILBOXES) == before, name


@pytest.mark.parametrize("name", WRITES)
async def test_who_holds_the_claim_can_write_anything(store: Store, name: str) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine)
        WRITES[name](step, stock)
    assert step.receipt is not None
    assert step.receipt.results[0] is None
    assert await read_everything(store, MAILBOXES) != before
    assert await store.mailboxes.load("mine") == stock.mine


async def test_a_hold_changes_nothing(store: Store, clock: ManualClock) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    clock.now += 10
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine)
    assert await read_everything(store, MAILBOXES) == before


async def test_a_hold_by_id_and_token_is_a_hold(store: Store) -> None:
    stock = await fill(store)
    async with store.batch() as step:
        step.mailboxes.hold("mine", stock.mine.claim_token)
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold("mine", stock.held.claim_token)


async def test_a_claim_is_held_until_its_last_millisecond(store: Store, clock: ManualClock) -> None:
    stock = await fill(store)
    clock.now += 29_999
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine)
    clock.now += 1
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(stock.mine)


async def test_an_extended_claim_is_held_on(store: Store, clock: ManualClock) -> None:
    stock = await fill(store)
    clock.now += 29_999
    await store.mailboxes.extend_lease(stock.mine, extension_ms=1_000)
    clock.now += 999
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine)
    assert step.receipt is not None


async def test_a_hold_goes_by_its_own_now(store: Store, clock: ManualClock) -> None:
    stock = await fill(store)
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(stock.mine, now=clock.now + 30_000)
    clock.now += 40_000
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine, now=clock.now - 40_000)
    assert step.receipt is not None


async def test_a_hold_of_no_entry_fails(store: Store) -> None:
    with pytest.raises(ClaimConflict) as caught:
        async with store.batch() as step:
            step.mailboxes.hold("nobody", "token")
    assert caught.value.entry_id == "nobody"


async def test_every_hold_of_a_batch_counts(store: Store) -> None:
    stock = await fill(store)
    await store.mailboxes.cancel("held")
    with pytest.raises(ClaimConflict) as caught:
        async with store.batch() as step:
            step.mailboxes.hold(stock.mine)
            step.mailboxes.hold(stock.held)
            step.threads.append("t", says("x"))
    assert caught.value.entry_id == "held"
    assert await texts(store, "t") == ["one", "two"]


async def test_a_hold_looks_at_what_its_batch_has_done_so_far(store: Store) -> None:
    stock = await fill(store)
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.ack(stock.mine)
            step.mailboxes.hold(stock.mine)
    assert await status(store, "mine") == "claimed"
    async with store.batch() as step:
        step.mailboxes.hold(stock.mine)
        step.mailboxes.ack(stock.mine)
    assert await status(store, "mine") == "accepted"


async def test_a_step_and_its_repetition_are_told_apart(store: Store, clock: ManualClock) -> None:
    """The worker that was too slow is refused, the one that took over is not."""
    await store.threads.create(Thread(id="box"))
    await store.mailboxes.enqueue(entry("e"))
    slow = await claim_one(store, consumer="slow", lease_ms=100)
    clock.now += 100
    quick = await claim_one(store, consumer="quick", lease_ms=100)
    async with store.batch() as step:
        step.mailboxes.hold(quick)
        step.threads.append("box", says("quick"))
        step.mailboxes.ack(quick)
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(slow)
            step.threads.append("box", says("slow"))
            step.mailboxes.ack(slow)
    assert await texts(store, "box") == ["quick"]


async def test_a_claim_lost_through_one_handle_is_lost_through_all(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with open_store(tmp_path, clock=clock) as one, open_store(tmp_path, clock=clock) as other:
        stock = await fill(one)
        await other.mailboxes.interrupt("mine")
        for handle in (one, other):
            with pytest.raises(ClaimConflict):
                async with handle.batch() as step:
                    step.mailboxes.hold(stock.mine)
                    step.threads.append("t", says("x"))
            assert await texts(handle, "t") == ["one", "two"]
