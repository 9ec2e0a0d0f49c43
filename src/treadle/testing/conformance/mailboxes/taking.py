"""Taking more: the holder of a mailbox takes further due entries under the same lease."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from treadle import ClaimConflict, MailboxEntry, NotFound, Store, Thread, TreadleError
from treadle.backends.base import Guarantee
from treadle.commands import RestoreEntry
from treadle.testing._harness.builders import (
    claim_by_id,
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
async def a_take_passes_over_what_its_batch_has_withdrawn(store: Store) -> None:
    for number in range(6):
        await store.mailboxes.send("box", number, dedupe_key=f"key {number}")
    held = await claim_one(store)
    async with store.batch() as step:
        for number in (1, 2, 3):
            step.mailboxes.withdraw("box", f"key {number}")
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
