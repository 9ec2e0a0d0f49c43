"""Taking more: who holds a mailbox takes further due entries under the same lease."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from treadle import ClaimConflict, MailboxEntry, NotFound, Store, Thread, TreadleError
from treadle.backends.base import Guarantee
from treadle.commands import RestoreEntry
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_ids,
    claim_one,
    enqueue,
    entry,
    loaded,
    results_of,
    says,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.mailboxes.order import HOUR_MS, work_off

checks = Checks(__name__)


async def hold_first(store: Store, count: int, **options: Any) -> MailboxEntry:
    """Send entries 0 to `count` - 1, and claim the first."""
    for number in range(count):
        await store.mailboxes.send("box", number)
    return await claim_one(store, **options)


async def take(store: Store, held: MailboxEntry, limit: int = 10) -> tuple[MailboxEntry, ...]:
    """What the holder of an entry takes."""
    return await store.mailboxes.take(held, limit=limit)


def payloads(entries: Sequence[MailboxEntry]) -> list[object]:
    """Their payloads."""
    return [each.payload for each in entries]


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


# --- what is taken --------------------------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def a_holder_takes_further_entries_in_the_order_of_claims(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 3)
    await store.mailboxes.send("box", "urgent", priority=9)
    await store.mailboxes.send("box", "lower", priority=0)
    await store.mailboxes.send("other", "elsewhere")
    expect(payloads(await take(store, held, 2)), ["urgent", 1])
    expect(payloads(await take(store, held)), [2, "lower"])
    expect(await take(store, held), ())


@checks.add(Guarantee.ONE_HOLDER)
async def what_is_taken_has_the_lease_and_the_consumer_of_its_holder_and_a_token_of_its_own(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 3, lease_ms=500)
    before = (await store.mailboxes.list_entries(status="queued")).items
    clock.now += 100
    taken = [*await take(store, held, 1), *await take(store, held, 1)]
    expect(
        taken,
        [
            replace(
                each,
                status="claimed",
                claim_token=found.claim_token,
                claimed_by=held.claimed_by,
                lease_until=held.lease_until,
                attempt_count=1,
                updated_at=clock.now,
            )
            for each, found in zip(before, taken, strict=True)
        ],
    )
    expect(len({each.claim_token for each in (held, *taken)}), 3)
    expect([await loaded(store, each.entry_id) for each in taken], taken)


@checks.add(Guarantee.ONE_HOLDER, each=(-(2**63), -1, 0))
async def a_take_of_less_than_one_entry_gets_none(store: Store, limit: int) -> None:
    held = await hold_first(store, 2)
    expect(await take(store, held, limit), ())


@checks.add(Guarantee.ONE_HOLDER)
async def a_take_of_many_gets_all_that_is_due(store: Store) -> None:
    held = await hold_first(store, 250)
    expect(payloads(await take(store, held, 2**63 - 1)), list(range(1, 250)))


@checks.add(Guarantee.ONE_HOLDER)
async def what_is_due_later_is_taken_when_it_is_due(store: Store, clock: ManualClock) -> None:
    held = await hold_first(store, 1)
    await store.mailboxes.send("box", "later", delay_ms=100)
    clock.now += 99
    expect(await take(store, held), ())
    clock.now += 1
    expect(payloads(await take(store, held)), ["later"])


@checks.add(Guarantee.ONE_HOLDER)
async def entries_with_and_without_turns_are_taken_in_one_order(
    store: Store, clock: ManualClock
) -> None:
    held = await hold_first(store, 1)
    now = clock.now
    await enqueue(
        store,
        entry("third", available_at=now, payload=3),
        entry("first", available_at=now - 5, payload=1),
        entry("fifth", available_at=now - 9, turn=now + 1, payload=5),
        entry("fourth", available_at=now, created_at=1, payload=4),
        entry("second", available_at=now - 3, turn=now - 3, payload=2),
    )
    expect(payloads(await take(store, held)), [1, 2, 3, 4, 5])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_that_expired_before_is_taken_as_another_attempt(
    store: Store, clock: ManualClock
) -> None:
    for number in range(3):
        await store.mailboxes.send("box", number)
    last = (await store.mailboxes.list_entries()).items[2]
    late = await claim_by_id(store, last.entry_id, lease_ms=100)
    clock.now += 100
    held = await claim_one(store)
    taken = await take(store, held)
    expect([(each.payload, each.attempt_count) for each in taken], [(1, 1), (2, 2)])
    with refused(ClaimConflict):
        await store.mailboxes.ack(late)


@checks.add(Guarantee.ONE_HOLDER)
async def a_take_ends_before_an_entry_of_another_generation(store: Store) -> None:
    held = await hold_first(store, 3)
    third = (await store.mailboxes.list_entries()).items[2]
    await store.commit((RestoreEntry(entry=replace(third, generation=7)),))
    await store.mailboxes.send("box", "behind")
    expect(payloads(await take(store, held)), [1])


# --- batches --------------------------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_take_is_part_of_a_batch(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    held = await hold_first(store, 4)
    async with store.batch() as step:
        step.mailboxes.hold(held)
        first = step.mailboxes.take(held)
        step.mailboxes.send("box", "sent with it", priority=9)
        second = step.mailboxes.take(held, limit=2)
        step.threads.append("t", says("taken"))
        step.mailboxes.ack(held)
    expect(payloads(first.result), [1])
    expect(payloads(second.result), ["sent with it", 2])
    expect(await texts(store, "t"), ["taken"])
    async with store.batch() as step:
        step.mailboxes.ack(first.result[0])
        step.mailboxes.take(second.result[0])
    expect(payloads(results_of(step)[1]), [3])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_batch_that_fails_takes_nothing(store: Store) -> None:
    held = await hold_first(store, 2)
    with refused(NotFound):
        async with store.batch() as step:
            step.mailboxes.take(held)
            step.threads.append("unknown", says("x"))
    expect(payloads(await take(store, held)), [1])


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_take_passes_over_what_its_batch_has_ended(store: Store) -> None:
    held = await hold_first(store, 6)
    ids = [each.entry_id for each in (await store.mailboxes.list_entries()).items]
    async with store.batch() as step:
        for entry_id in ids[1:4]:
            step.mailboxes.cancel(entry_id)
        step.mailboxes.take(held)
    expect(payloads(results_of(step)[-1]), [4])


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def what_is_taken_and_given_back_is_taken_again(store: Store) -> None:
    held = await hold_first(store, 3)
    (one,) = await take(store, held, 1)
    async with store.batch() as step:
        step.mailboxes.release(one)
        step.mailboxes.take(held)
    (again,) = results_of(step)[1]
    expect((again.payload, again.attempt_count), (1, 1))
    assert again.claim_token != one.claim_token, "two claims have one token"
    with refused(ClaimConflict):
        await store.mailboxes.ack(one)


# --- who may take ---------------------------------------------------------------------------------

Lose = Callable[[Store, ManualClock, MailboxEntry], Awaitable[object]]


async def _expire(store: Store, clock: ManualClock, held: MailboxEntry) -> None:
    clock.now += 30_000


async def _overtake(store: Store, clock: ManualClock, held: MailboxEntry) -> None:
    clock.now += 30_000
    await store.mailboxes.send("box", "urgent", priority=9)
    await claim_one(store)
    clock.now -= 30_000


LOSSES: dict[str, Lose] = {
    "its lease ran out": _expire,
    "the mailbox has another holder": _overtake,
    "settled": lambda store, _, held: store.mailboxes.ack(held),
    "released": lambda store, _, held: store.mailboxes.release(held),
    "cancelled": lambda store, _, held: store.mailboxes.cancel(held.entry_id),
    "interrupted": lambda store, _, held: store.mailboxes.interrupt("box"),
    "deleted": lambda store, _, held: store.mailboxes.delete("box"),
}


@checks.add(Guarantee.ONE_HOLDER, each=LOSSES)
async def who_lost_a_claim_takes_nothing(store: Store, clock: ManualClock, lose: Lose) -> None:
    held = await hold_first(store, 3)
    await lose(store, clock, held)
    before = await read_everything(store, ["box"])
    with refused(TreadleError) as caught:
        await take(store, held)
    is_gone = await store.mailboxes.load_entry(held.entry_id) is None
    expect(type(caught.value), NotFound if is_gone else ClaimConflict)
    expect(await read_everything(store, ["box"]), before)


@checks.add(Guarantee.ONE_HOLDER)
async def a_take_needs_the_token_of_the_claim(store: Store) -> None:
    held = await hold_first(store, 2)
    queued = (await store.mailboxes.list_entries(status="queued")).items[0]
    for entry_id in (held.entry_id, queued.entry_id):
        with refused(ClaimConflict) as caught:
            await store.mailboxes.take(entry_id, "wrong")
        expect(caught.value.entry_id, entry_id)
    with refused(NotFound):
        await store.mailboxes.take("unknown", held.claim_token)
    expect(payloads(await store.mailboxes.take(held.entry_id, held.claim_token)), [1])


@checks.add(Guarantee.ONE_HOLDER)
async def a_holder_takes_more_by_any_of_its_entries(store: Store) -> None:
    held = await hold_first(store, 4)
    (one,) = await take(store, held, 1)
    await store.mailboxes.ack(held)
    (two,) = await take(store, one, 1)
    await store.mailboxes.ack(one)
    expect(payloads(await take(store, two)), [3])


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
