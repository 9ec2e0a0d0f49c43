"""Holders: the claims of a holder share one lease and one order, and pass the fence together."""

from collections.abc import Sequence

from treadle import ClaimConflict, MailboxEntry, Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_ids, claim_one, enqueue, entry, says, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.mailboxes.order import HOUR_MS, work_off
from treadle.testing.conformance.mailboxes.taking import hold_first, payloads, take

checks = Checks(__name__)


async def held_payloads(store: Store, entries: Sequence[MailboxEntry]) -> list[object]:
    """Those of the entries that are held."""
    held: list[object] = []
    for each in entries:
        try:
            async with store.batch() as step:
                step.mailboxes.hold(each)
        except ClaimConflict:
            continue
        held.append(each.payload)
    return held


# --- one holder -----------------------------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def nobody_claims_from_a_mailbox_while_any_of_the_taken_is_held(store: Store) -> None:
    held = await hold_first(store, 4)
    taken = await take(store, held, 2)
    last = (await store.mailboxes.list_entries()).items[3]
    for each in (held, *taken):
        expect(await claim_ids(store), [])
        expect(await store.mailboxes.claim_entry(last.entry_id, consumer="w"), None)
        await store.mailboxes.ack(each)
    expect(await claim_ids(store), [last.entry_id])


@checks.add(Guarantee.ONE_HOLDER)
async def extending_one_lease_extends_all_of_its_holder(store: Store, clock: ManualClock) -> None:
    held = await hold_first(store, 4, lease_ms=100)
    taken = await take(store, held, 2)
    clock.now += 60
    expect(await store.mailboxes.extend_lease(taken[1], extension_ms=100), True)
    claimed = (await store.mailboxes.list_entries(status="claimed")).items
    times = [(each.lease_until, each.updated_at) for each in claimed]
    expect(times, [(clock.now + 100, clock.now)] * 3)
    clock.now += 99
    expect(await claim_ids(store), [])
    expect(await held_payloads(store, (held, *taken)), [0, 1, 2])
    await store.mailboxes.ack(taken[1])
    expect(await store.mailboxes.extend_lease(taken[1]), False)
    expect(await store.mailboxes.extend_lease(held, extension_ms=0), True)
    expect(await work_off(store), [0, 1, 3])


@checks.add(Guarantee.ONE_HOLDER)
async def leases_that_expired_together_are_extended_until_somebody_else_claims(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 2, lease_ms=100)
    (taken,) = await take(store, held)
    clock.now += 100
    expect(await held_payloads(store, (held, taken)), [])
    expect(await store.mailboxes.extend_lease(taken, extension_ms=100), True)
    expect(await held_payloads(store, (held, taken)), [0, 1])
    clock.now += 100
    other = await claim_one(store)
    expect(other.payload, 0)
    for lost in (held, taken):
        expect(await store.mailboxes.extend_lease(lost, extension_ms=10**6), False)
    expect(payloads(await take(store, other)), [1])


@checks.add(Guarantee.ONE_HOLDER)
async def what_was_taken_comes_again_in_order_when_the_lease_is_over(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 5)
    await take(store, held, 2)
    clock.now += 30_000
    found: list[object] = []
    while claimed := await store.mailboxes.claim(consumer="w", lease_ms=1):
        found += [(each.payload, each.attempt_count) for each in claimed]
        await store.mailboxes.ack(claimed[0])
    expect(found, [(0, 2), (1, 2), (2, 2), (3, 1), (4, 1)])


@checks.add(Guarantee.FENCE)
async def what_was_taken_is_held_together_in_a_batch(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    held = await hold_first(store, 3)
    taken = await take(store, held)
    async with store.batch() as step:
        for each in (held, *taken):
            step.mailboxes.hold(each)
        step.threads.append("t", says("one turn"))
        for each in (held, *taken):
            step.mailboxes.ack(each)
    expect(await texts(store, "t"), ["one turn"])
    expect((await store.mailboxes.count_entries("box")).accepted, 3)


@checks.add(Guarantee.FENCE, each=["interrupted", "over", "deleted"])
async def nothing_that_was_taken_is_held_when_it_is(
    store: Store, clock: ManualClock, end: str
) -> None:
    held = await hold_first(store, 3)
    taken = await take(store, held)
    match end:
        case "interrupted":
            await store.mailboxes.interrupt("box")
        case "over":
            clock.now += 30_000
        case _:
            await store.mailboxes.delete("box")
    expect(await held_payloads(store, (held, *taken)), [])


@checks.add(Guarantee.FENCE)
async def what_is_cancelled_leaves_the_others_of_its_holder(store: Store) -> None:
    held = await hold_first(store, 3)
    taken = await take(store, held)
    await store.mailboxes.cancel(held.entry_id)
    expect(await held_payloads(store, (held, *taken)), [1, 2])
    expect(await store.mailboxes.extend_lease(taken[0]), True)
    expect(await claim_ids(store), [])


@checks.add(Guarantee.FENCE)
async def one_of_two_holders_who_have_taken_is_held_when_the_clock_goes_back(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 4)
    taken = await take(store, held, 1)
    for number in ("urgent", "more"):
        await store.mailboxes.send("box", number, priority=9)
    clock.now += 30_000
    other = await claim_one(store)
    others = await take(store, other, 1)
    clock.now -= 20_000
    expect(await held_payloads(store, (held, *taken)), [])
    expect(await held_payloads(store, (other, *others)), ["urgent", "more"])
    expect(await store.mailboxes.extend_lease(taken[0], extension_ms=10**6), False)
    expect(await store.mailboxes.extend_lease(others[0]), True)
    expect(await held_payloads(store, (held, *taken, other, *others)), ["urgent", "more"])


# --- order and pauses -----------------------------------------------------------------------------


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_take_gets_nothing_from_behind_a_retry_that_keeps_its_order(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 4)
    (failed,) = await take(store, held, 1)
    await store.mailboxes.nack(failed, retry_at=clock.now + 100, keep_order=True)
    await store.mailboxes.send("box", "lower")
    expect(await take(store, held), ())
    await store.mailboxes.send("box", "urgent", priority=9)
    expect(payloads(await take(store, held)), ["urgent"])
    clock.now += 100
    expect(payloads(await take(store, held)), [1, 2, 3, "lower"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_that_keeps_its_order_waits_for_what_its_holder_has_taken(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 3)
    (taken,) = await take(store, held, 1)
    await store.mailboxes.nack(held, retry_at=clock.now + 100, keep_order=True)
    await store.mailboxes.ack(taken)
    expect(await claim_ids(store), [])
    clock.now += 100
    expect(await work_off(store), [0, 2])


@checks.add(
    Guarantee.ORDER_IS_KEPT,
    each={"stands": (0, 0), "goes back": (0, HOUR_MS), "went back": (HOUR_MS, 0)},
)
async def several_that_fail_together_keep_their_order_though_the_clock(
    store: Store, clock: ManualClock, before: int, after: int
) -> None:
    for number in range(4):
        await store.mailboxes.send("box", number)
        clock.now -= before // 4
    await enqueue(store, entry("late", available_at=clock.now, payload="late"))
    held = await claim_one(store)
    taken = await take(store, held)
    clock.now -= after
    async with store.batch() as step:
        for each in reversed((held, *taken)):
            step.mailboxes.nack(each, retry_at=clock.now + 100, keep_order=True)
    await store.mailboxes.send("box", "behind")
    expect(await claim_ids(store), [])
    clock.now += 100
    found = await work_off(store)
    expect([each for each in found if each != "late"], [0, 1, 2, 3, "behind"])
    expect(found[-1], "behind")


@checks.add(Guarantee.ORDER_IS_KEPT, each={"any mailbox": None, "the mailbox": "box"})
async def retries_keep_their_order_when_the_claim_of_the_first_expires_for_claims_from(
    store: Store, clock: ManualClock, mailbox_id: str | None
) -> None:
    held = await hold_first(store, 3)
    taken = await take(store, held, 1)
    async with store.batch() as step:
        for each in (held, *taken):
            step.mailboxes.nack(each, retry_at=clock.now + 100, keep_order=True)
    clock.now += 100
    expect((await claim_one(store, lease_ms=100)).payload, 0)
    clock.now += 100
    expect(await work_off(store, mailbox_id), [0, 1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_was_taken_and_released_is_in_its_order_again(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 4)
    taken = await take(store, held, 2)
    for each in (*taken, held):
        await store.mailboxes.release(each)
    expect(await work_off(store), [0, 1, 2, 3])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_take_gets_nothing_while_its_mailbox_is_paused(store: Store, clock: ManualClock) -> None:
    held = await hold_first(store, 3)
    (taken,) = await take(store, held, 1)
    await store.mailboxes.pause("box", until=clock.now + 100)
    expect(await take(store, held), ())
    expect(await held_payloads(store, (held, taken)), [0, 1])
    clock.now += 100
    expect(payloads(await take(store, held, 1)), [2])
    await store.mailboxes.pause("box")
    await store.mailboxes.send("box", 3)
    expect(await take(store, held), ())
    await store.mailboxes.resume("box")
    expect(payloads(await take(store, held)), [3])
