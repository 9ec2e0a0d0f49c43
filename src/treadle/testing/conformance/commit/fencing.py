"""Fencing: a batch with a hold is committed only while its claim is held."""

from collections.abc import Awaitable, Callable

from treadle import ClaimConflict, MailboxEntry, Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_one,
    entry,
    loaded,
    results_of,
    says,
    status,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything, without_uuids
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.sample_data import MAILBOXES, WRITES, fill
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


Lose = Callable[[Store, ManualClock], Awaitable[None]]


async def _take(store: Store, clock: ManualClock) -> None:
    clock.now += 30_000
    await claim_by_id(store, "mine")


async def _expire(store: Store, clock: ManualClock) -> None:
    clock.now += 30_000


async def _settle(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.ack(await loaded(store, "mine"))


async def _release(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.release(await loaded(store, "mine"))


async def _cancel(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.cancel("mine")


async def _interrupt(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.interrupt("mine")


async def _purge(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.cancel("mine", now=5)
    await store.mailboxes.purge(100)


LOSSES: dict[str, Lose] = {
    "taken by another": _take,
    "its lease ran out": _expire,
    "settled": _settle,
    "released": _release,
    "cancelled": _cancel,
    "interrupted": _interrupt,
    "gone": _purge,
}


@checks.add(Guarantee.FENCE, each=LOSSES)
async def a_worker_that_lost_its_claim_can_write_nothing_anywhere(
    store: Store, clock: ManualClock, lose: Lose
) -> None:
    sample = await fill(store)
    await lose(store, clock)
    before = await read_everything(store, MAILBOXES)
    for write in WRITES.values():
        for hold_first in (True, False):
            with refused(ClaimConflict) as caught:
                async with store.batch() as step:
                    if hold_first:
                        step.mailboxes.hold(sample.mine)
                    write(step, sample)
                    if not hold_first:
                        step.mailboxes.hold(sample.mine)
            expect(caught.value.entry_id, "mine")
    expect(await read_everything(store, MAILBOXES), before)


@checks.add(Guarantee.FENCE, each=tuple(WRITES))
async def the_holder_of_a_claim_can_write_anything(harness: Harness, name: str) -> None:
    fenced, free = harness.store, await harness.open_other()
    sample, other_sample = await fill(fenced), await fill(free)
    before = await read_everything(fenced, MAILBOXES)
    async with fenced.batch() as step:
        step.mailboxes.hold(sample.mine)
        WRITES[name](step, sample)
    async with free.batch() as unfenced:
        WRITES[name](unfenced, other_sample)
    expect(results_of(step)[0], None)
    found, expected = [await read_everything(each, MAILBOXES) for each in (fenced, free)]
    expect(without_uuids(found), without_uuids(expected))
    assert found != before, "nothing was written"
    expect(await fenced.mailboxes.load_entry("mine"), sample.mine)


@checks.add(Guarantee.FENCE)
async def a_hold_changes_nothing(store: Store, clock: ManualClock) -> None:
    sample = await fill(store)
    before = await read_everything(store, MAILBOXES)
    clock.now += 10
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine)
    expect(await read_everything(store, MAILBOXES), before)


@checks.add(Guarantee.FENCE)
async def a_hold_can_name_the_entry_by_id_and_token(store: Store) -> None:
    sample = await fill(store)
    async with store.batch() as step:
        step.mailboxes.hold("mine", sample.mine.claim_token)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold("mine", sample.held.claim_token)


@checks.add(Guarantee.FENCE)
async def a_claim_is_held_until_the_last_millisecond_of_its_lease(
    store: Store, clock: ManualClock
) -> None:
    sample = await fill(store)
    clock.now += 29_999
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine)
    clock.now += 1
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(sample.mine)


@checks.add(Guarantee.FENCE)
async def an_extended_claim_stays_held(store: Store, clock: ManualClock) -> None:
    sample = await fill(store)
    clock.now += 29_999
    await store.mailboxes.extend_lease(sample.mine, extension_ms=1_000)
    clock.now += 999
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine)
    expect(results_of(step), (None,))


@checks.add(Guarantee.FENCE)
async def a_hold_uses_its_own_time(store: Store, clock: ManualClock) -> None:
    sample = await fill(store)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(sample.mine, now=clock.now + 30_000)
    clock.now += 40_000
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine, now=clock.now - 40_000)
    expect(results_of(step), (None,))


@checks.add(Guarantee.FENCE)
async def a_hold_of_no_entry_fails(store: Store) -> None:
    with refused(ClaimConflict) as caught:
        async with store.batch() as step:
            step.mailboxes.hold("nobody", "token")
    expect(caught.value.entry_id, "nobody")


@checks.add(Guarantee.FENCE)
async def every_hold_of_a_batch_is_checked(store: Store) -> None:
    sample = await fill(store)
    await store.mailboxes.cancel("held")
    with refused(ClaimConflict) as caught:
        async with store.batch() as step:
            step.mailboxes.hold(sample.mine)
            step.mailboxes.hold(sample.held)
            step.threads.append("t", says("x"))
    expect(caught.value.entry_id, "held")
    expect(await texts(store, "t"), ["one", "two"])


@checks.add(Guarantee.FENCE)
async def a_hold_sees_the_earlier_commands_of_its_batch(store: Store) -> None:
    sample = await fill(store)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.ack(sample.mine)
            step.mailboxes.hold(sample.mine)
    expect(await status(store, "mine"), "claimed")
    async with store.batch() as step:
        step.mailboxes.hold(sample.mine)
        step.mailboxes.ack(sample.mine)
    expect(await status(store, "mine"), "accepted")


@checks.add(Guarantee.FENCE)
async def a_slow_worker_is_refused_and_the_one_that_took_over_is_not(
    store: Store, clock: ManualClock
) -> None:
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
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(slow)
            step.threads.append("box", says("slow"))
            step.mailboxes.ack(slow)
    expect(await texts(store, "box"), ["quick"])


async def _overtaken(store: Store, clock: ManualClock) -> tuple[MailboxEntry, MailboxEntry]:
    """Claim an entry, once its lease has expired a more urgent one, and set the clock back."""
    await store.mailboxes.enqueue(entry("first"))
    first = await claim_one(store, lease_ms=30_000)
    await store.mailboxes.enqueue(entry("urgent", priority=9))
    clock.now += 100_000
    urgent = await claim_one(store, lease_ms=30_000)
    expect(urgent.entry_id, "urgent")
    clock.now -= 90_000
    return first, urgent


@checks.add(Guarantee.FENCE)
async def only_the_later_claim_of_a_mailbox_is_held_after_the_clock_went_back(
    store: Store, clock: ManualClock
) -> None:
    first, urgent = await _overtaken(store, clock)
    before = await read_everything(store, ["box"])
    with refused(ClaimConflict) as caught:
        async with store.batch() as step:
            step.mailboxes.hold(first)
            step.threads.create(Thread(id="t"))
    expect(caught.value.entry_id, "first")
    assert "'urgent'" in caught.value.reason
    expect(await read_everything(store, ["box"]), before)
    async with store.batch() as step:
        step.mailboxes.hold(urgent)
    expect(results_of(step), (None,))


@checks.add(Guarantee.FENCE, each={"shorter": 1_000, "longer": 90_000})
async def a_renewal_after_the_clock_went_back_keeps_the_earlier_claim_out(
    store: Store, clock: ManualClock, extension_ms: int
) -> None:
    first, urgent = await _overtaken(store, clock)
    expect(await store.mailboxes.extend_lease(urgent, extension_ms=extension_ms), True)
    expect(await store.mailboxes.extend_lease(first, extension_ms=300_000), False)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(first)
    async with store.batch() as step:
        step.mailboxes.hold(urgent)
    expect(results_of(step), (None,))


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_earlier_claim_is_still_settled_by_its_token(store: Store, clock: ManualClock) -> None:
    first, urgent = await _overtaken(store, clock)
    await store.mailboxes.ack(first)
    expect(await status(store, "first"), "accepted")
    async with store.batch() as step:
        step.mailboxes.hold(urgent)
    expect(results_of(step), (None,))


@checks.add(Guarantee.FENCE, "shared")
async def a_claim_lost_through_one_handle_is_lost_through_all(harness: Harness) -> None:
    one, other = harness.store, await harness.open()
    sample = await fill(one)
    await other.mailboxes.interrupt("mine")
    for handle in (one, other):
        with refused(ClaimConflict):
            async with handle.batch() as step:
                step.mailboxes.hold(sample.mine)
                step.threads.append("t", says("x"))
        expect(await texts(handle, "t"), ["one", "two"])
