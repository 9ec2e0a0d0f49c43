"""Explaining: why an entry does not run, which is what claims make of it."""

from treadle import ClaimConflict, MailboxState, Obstacle, Store
from treadle.backends.base import Guarantee
from treadle.core.restoring import RestoreMailbox
from treadle.testing._harness.builders import (
    TERMINAL,
    claim_by_id,
    claim_one,
    end,
    enqueue,
    entry,
    loaded,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


async def obstacles(store: Store, entry_id: str = "e") -> tuple[Obstacle, ...]:
    """What keeps an entry that is there from being claimed."""
    found = await store.mailboxes.explain(entry_id)
    assert found is not None, f"entry {entry_id!r} is not there"
    return found.obstacles


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_that_is_next_has_no_obstacles(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", payload={"a": 1}, headers={"h": "1"}), entry("f", "other"))
    found = await store.mailboxes.explain("e")
    assert found is not None
    expect(found.entry, await loaded(store))
    expect(found.mailbox, await store.mailboxes.load("box"))
    expect((found.now, found.obstacles), (clock.now, ()))
    expect(await store.mailboxes.explain("none"), None)


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE, each=TERMINAL)
async def an_entry_that_has_ended_says_when_and_why(
    store: Store, clock: ManualClock, how: str
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    clock.now += 5
    await end(store, "e", how)
    error = (await loaded(store)).last_error
    await store.mailboxes.pause("box")
    expect(await obstacles(store), (Obstacle(kind="ended", since=clock.now, reason=error),))


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_that_is_not_due_says_until_when(store: Store, clock: ManualClock) -> None:
    due = clock.now + 5
    await store.mailboxes.enqueue(entry("e", available_at=due))
    expect(await obstacles(store), (Obstacle(kind="not_due", until=due),))
    clock.now = due
    expect(await obstacles(store), ())


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_that_is_held_says_by_whom(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await claim_one(store, consumer="ann", lease_ms=5)
    expect(await obstacles(store), (Obstacle(kind="held", until=clock.now + 5, holder="ann"),))
    clock.now += 5
    expect(await obstacles(store), ())


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def a_holder_is_named_with_all_that_it_holds(store: Store, clock: ManualClock) -> None:
    await enqueue(store, *(entry(key, available_at=at) for at, key in enumerate("dcba")))
    first = await claim_one(store, consumer="ann", lease_ms=5)
    await store.mailboxes.take(first, limit=2)
    until = clock.now + 5
    held = Obstacle(kind="held", until=until, holder="ann", entry_ids=("b", "d"))
    expect(await obstacles(store, "c"), (held,))
    beside = Obstacle(kind="mailbox_held", until=until, holder="ann", entry_ids=("b", "c", "d"))
    expect(await obstacles(store, "a"), (beside,))
    clock.now += 5
    expect(await obstacles(store, "d"), ())
    expect(await obstacles(store, "a"), (Obstacle(kind="behind_entry", entry_ids=("d",)),))


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE, each={"for ever": None, "for a time": 60_000})
async def an_entry_of_a_paused_mailbox_says_why(
    store: Store, clock: ManualClock, length: int | None
) -> None:
    since, until = clock.now, None if length is None else clock.now + length
    await store.mailboxes.enqueue(entry("e"))
    await store.mailboxes.pause("box", until=until, reason="a refund of 40 EUR")
    clock.now += 5
    expect(
        await obstacles(store),
        (Obstacle(kind="paused", since=since, until=until, reason="a refund of 40 EUR"),),
    )
    await store.mailboxes.resume("box")
    expect(await obstacles(store), ())


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def a_pause_that_is_over_is_no_obstacle(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await store.mailboxes.pause("box", until=clock.now + 5)
    clock.now += 5
    expect(await obstacles(store), ())


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_behind_a_retry_names_it(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("first"), entry("e"), entry("urgent", priority=9))
    retry_at = clock.now + 60_000
    await store.mailboxes.nack(
        await claim_by_id(store, "first"), retry_at=retry_at, error="429", keep_order=True
    )
    behind = Obstacle(kind="behind_retry", until=retry_at, entry_ids=("first",), reason="429")
    urgent = Obstacle(kind="behind_entry", entry_ids=("urgent",))
    expect(await obstacles(store, "e"), (urgent,))
    expect(await obstacles(store, "urgent"), ())
    await store.mailboxes.cancel("urgent")
    expect(await obstacles(store, "e"), (behind,))
    waits = Obstacle(kind="not_due", until=retry_at, reason="429")
    expect(await obstacles(store, "first"), (waits,))
    clock.now = retry_at
    expect(await obstacles(store, "first"), ())
    expect(await obstacles(store, "e"), (Obstacle(kind="behind_entry", entry_ids=("first",)),))


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_may_have_several_obstacles(store: Store, clock: ManualClock) -> None:
    due = clock.now + 5
    await enqueue(store, entry("held"), entry("next"), entry("e", available_at=due))
    await claim_by_id(store, "held", consumer="ann", lease_ms=9)
    await store.mailboxes.pause("box", reason="why")
    expect(
        await obstacles(store),
        (
            Obstacle(kind="not_due", until=due),
            Obstacle(kind="paused", since=clock.now, reason="why"),
            Obstacle(kind="mailbox_held", until=clock.now + 9, holder="ann", entry_ids=("held",)),
            Obstacle(kind="behind_entry", entry_ids=("next",)),
        ),
    )


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def an_entry_of_an_older_generation_says_so(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await store.commit(
        (RestoreMailbox(mailbox=MailboxState(mailbox_id="box", current_generation=1)),)
    )
    expect(await obstacles(store), (Obstacle(kind="older_generation"),))
    held = await claim_one(store)
    with refused(ClaimConflict):
        await store.mailboxes.hold(held)


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def what_has_no_obstacles_is_what_a_claim_gets(store: Store, clock: ManualClock) -> None:
    begun = clock.now
    await enqueue(
        store,
        entry("late", available_at=begun + 20),
        entry("urgent", priority=9, available_at=begun + 30),
        entry("old", available_at=5),
        entry("older", available_at=4),
    )
    await store.mailboxes.nack(
        await claim_by_id(store, "older"), retry_at=begun + 10, keep_order=True
    )
    sent = await store.mailboxes.send("box", "now")
    ids = ("late", "urgent", "old", "older", sent.entry.entry_id)
    given: list[str] = []
    for _ in range(20):
        clock.now += 3
        free = [each for each in ids if not await obstacles(store, each)]
        claimed = await store.mailboxes.claim(1, consumer="w", mailbox_id="box", lease_ms=1)
        expect(free, [each.entry_id for each in claimed])
        for each in claimed:
            given.append(each.entry_id)
            await store.mailboxes.ack(each)
    expect(given, ["older", "old", sent.entry.entry_id, "late", "urgent"])


@checks.add(Guarantee.EXPLANATIONS_ARE_TRUE)
async def the_last_of_hundreds_is_behind_the_first(store: Store) -> None:
    async with store.batch() as step:
        for number in range(300):
            step.mailboxes.enqueue(entry(f"e{number:03}", created_at=number))
    first = Obstacle(kind="behind_entry", entry_ids=("e000",))
    expect(await obstacles(store, "e299"), (first,))
    expect(await obstacles(store, "e001"), (first,))
    expect(await obstacles(store, "e000"), ())
