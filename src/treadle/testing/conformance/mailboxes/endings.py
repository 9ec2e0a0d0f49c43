"""Endings: cancel, supersede, cancel all that is pending, interrupt."""

from msgspec.structs import replace

from treadle import GenerationMismatch, MailboxState, Store
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    TERMINAL,
    claim_by_id,
    claim_one,
    end,
    enqueue,
    entry,
    generation,
    loaded,
    status,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


# --- cancel and supersede -----------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each={"queued": False, "claimed": True})
async def cancel_ends_an_entry_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    clock.now += 5
    found = await store.mailboxes.cancel("e")
    expect(
        found,
        entry(
            "e",
            status="cancelled",
            last_error="cancelled",
            attempt_count=int(claimed),
            updated_at=clock.now,
        ),
    )
    expect(await store.mailboxes.load_entry("e"), found)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each={"queued": False, "claimed": True})
async def supersede_ends_an_entry_with_its_reason_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    found = await store.mailboxes.supersede("e", "newer")
    expect(
        found,
        entry(
            "e",
            status="superseded",
            last_error="newer",
            attempt_count=int(claimed),
            updated_at=clock.now,
        ),
    )


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=TERMINAL)
async def an_entry_that_has_ended_stays_as_it_is_and_is_returned(
    store: Store, clock: ManualClock, how: str
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await end(store, "e", how)
    before = await read_everything(store, ["box"])
    ended = await loaded(store)
    clock.now += 5
    expect(await store.mailboxes.cancel("e"), ended)
    expect(await store.mailboxes.supersede("e", "newer"), ended)
    expect(await store.mailboxes.cancel_pending("box"), ())
    expect(await read_everything(store, ["box"]), before)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def ending_a_missing_entry_changes_nothing(store: Store) -> None:
    expect(await store.mailboxes.cancel("e"), None)
    expect(await store.mailboxes.supersede("e", "newer"), None)
    expect(await store.mailboxes.requeue("e"), None)
    expect(await store.mailboxes.cancel_pending("box"), ())
    expect(await store.mailboxes.load("box"), None)


# --- withdrawals --------------------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each={"due": 0, "later": 60_000})
async def a_queued_entry_is_withdrawn_by_its_dedupe_key(
    store: Store, clock: ManualClock, delay_ms: int
) -> None:
    sent = (await store.mailboxes.send("box", "timer", dedupe_key="k", delay_ms=delay_ms)).entry
    await store.mailboxes.send("other", "timer", dedupe_key="k")
    clock.now += 5
    found = await store.mailboxes.withdraw("box", "k")
    expect(found, replace(sent, status="cancelled", last_error="withdrawn", updated_at=clock.now))
    expect(await store.mailboxes.load_entry(sent.entry_id), found)
    expect((await store.mailboxes.count_entries("other")).queued, 1)
    expect((await store.mailboxes.count_entries("box")).queued, 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_that_waits_for_its_retry_is_withdrawn(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", dedupe_key="k"), entry("behind"))
    await store.mailboxes.nack(
        await claim_by_id(store, "e"), retry_at=clock.now + 60_000, keep_order=True
    )
    await store.mailboxes.withdraw("box", "k")
    expect(await status(store, "e"), "cancelled")
    expect((await claim_one(store)).entry_id, "behind")


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_claimed_entry_is_not_withdrawn(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", dedupe_key="k"))
    held = await claim_one(store, lease_ms=10)
    expect(await store.mailboxes.withdraw("box", "k"), held)
    clock.now += 10
    expect(await store.mailboxes.withdraw("box", "k"), held)
    await store.mailboxes.ack(held)
    done = await loaded(store)
    expect(await store.mailboxes.withdraw("box", "k"), done)
    expect(await loaded(store), done)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_withdrawn_key_stays_known_until_a_purge(store: Store, clock: ManualClock) -> None:
    expect(await store.mailboxes.withdraw("box", "k"), None)
    await enqueue(store, entry("e", dedupe_key="k"))
    async with store.batch() as step:
        first = step.mailboxes.withdraw("box", "k")
        again = step.mailboxes.withdraw("box", "k")
    expect(again.result, first.result)
    expect((await store.mailboxes.send("box", "x", dedupe_key="k")).entry.entry_id, "e")
    await store.mailboxes.purge(clock.now + 1)
    expect(await store.mailboxes.withdraw("box", "k"), None)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_of_the_same_batch_is_withdrawn(store: Store) -> None:
    async with store.batch() as step:
        sent = step.mailboxes.send("box", "x", dedupe_key="k")
        withdrawn = step.mailboxes.withdraw("box", "k")
    expect(withdrawn.result and withdrawn.result.entry_id, sent.result.entry.entry_id)
    expect(await status(store, sent.result.entry.entry_id), "cancelled")


# --- several ------------------------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def cancel_pending_cancels_every_entry_of_the_mailbox_that_has_not_ended(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, *(entry(key) for key in ("c", "a", "b", "kept", "done")))
    await enqueue(store, entry("later", available_at=2**60), entry("elsewhere", "other"))
    await store.mailboxes.supersede("done", "newer")
    await claim_by_id(store, "b")
    clock.now += 5
    cancelled = await store.mailboxes.cancel_pending("box", exclude="kept")
    expect([each.entry_id for each in cancelled], ["a", "b", "c", "later"])
    for each in cancelled:
        expect(each, await store.mailboxes.load_entry(each.entry_id))
        expect((each.status, each.last_error), ("cancelled", "cancelled"))
        expect((each.claim_token, each.claimed_by, each.lease_until), (None, None, None))
        expect(each.updated_at, clock.now)
    expect(await status(store, "kept"), "queued")
    expect(await status(store, "done"), "superseded")
    expect(await status(store, "elsewhere"), "queued")
    expect(await generation(store), 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=["none", "elsewhere"])
async def cancel_pending_cancels_all_when_the_excluded_entry_is_elsewhere(
    store: Store, exclude: str
) -> None:
    await enqueue(store, entry("a"), entry("b"), entry("elsewhere", "other"))
    cancelled = await store.mailboxes.cancel_pending("box", exclude=exclude)
    expect([each.entry_id for each in cancelled], ["a", "b"])
    expect(await status(store, "elsewhere"), "queued")


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def cancel_pending_can_exclude_a_claimed_entry(store: Store) -> None:
    await enqueue(store, entry("held"), entry("next"))
    held = await claim_by_id(store, "held")
    cancelled = await store.mailboxes.cancel_pending("box", exclude="held")
    expect([each.entry_id for each in cancelled], ["next"])
    expect(await loaded(store, "held"), held)


# --- interrupt ----------------------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def interrupt_raises_the_generation_and_supersedes_what_is_older(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, *(entry(key) for key in ("b", "a", "held", "done")))
    await enqueue(store, entry("later", available_at=2**60), entry("elsewhere", "other"))
    await store.mailboxes.cancel("done")
    await claim_by_id(store, "held")
    clock.now += 5
    done = await store.mailboxes.interrupt("box")
    expect(
        done.mailbox_state,
        MailboxState(mailbox_id="box", current_generation=1, updated_at=clock.now),
    )
    expect([each.entry_id for each in done.superseded_entries], ["a", "b", "held", "later"])
    for each in done.superseded_entries:
        expect(each, await store.mailboxes.load_entry(each.entry_id))
        expect((each.status, each.last_error), ("superseded", "superseded by interrupt"))
        expect((each.claim_token, each.claimed_by, each.lease_until), (None, None, None))
        expect(each.updated_at, clock.now)
    expect(await status(store, "done"), "cancelled")
    expect(await status(store, "elsewhere"), "queued")
    expect(await generation(store, "other"), 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def each_interrupt_raises_the_generation(store: Store) -> None:
    generations = [
        (await store.mailboxes.interrupt("box")).mailbox_state.current_generation for _ in range(3)
    ]
    expect(generations, [1, 2, 3])
    expect(await generation(store), 3)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=[0, 1])
async def an_interrupt_that_expects_another_generation_does_nothing(
    store: Store, before: int
) -> None:
    for _ in range(before):
        await store.mailboxes.interrupt("box")
    await store.mailboxes.send("box", "old")
    done = await store.mailboxes.interrupt("box", expected=before)
    expect((done.mailbox_state.current_generation, len(done.superseded_entries)), (before + 1, 1))
    sent = await store.mailboxes.send("box", "new")
    for given in (before, before + 2):
        with refused(GenerationMismatch) as caught:
            await store.mailboxes.interrupt("box", expected=given)
        error = caught.value
        expect((error.mailbox_id, error.expected, error.actual), ("box", before + 1, given))
    expect(await generation(store), before + 1)
    expect(await status(store, sent.entry.entry_id), "queued")


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_interrupt_that_expects_a_generation_creates_no_mailbox_when_it_fails(
    store: Store,
) -> None:
    with refused(GenerationMismatch):
        await store.mailboxes.interrupt("box", expected=1)
    expect(await store.mailboxes.load("box"), None)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_sent_after_an_interrupt_can_be_claimed(store: Store) -> None:
    await store.mailboxes.send("box", "old")
    await store.mailboxes.interrupt("box")
    await store.mailboxes.send("box", "new")
    expect((await claim_one(store)).payload, "new")


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=["interrupt", "cancel_pending"])
async def ending_a_mailbox_s_work_includes_entries_of_the_same_batch(
    store: Store, how: str
) -> None:
    await enqueue(store, entry("before"))
    async with store.batch() as step:
        step.mailboxes.enqueue(entry("within"))
        getattr(step.mailboxes, how)("box")
        step.mailboxes.send("box", "after")
    expect((await status(store, "before")), await status(store, "within"))
    expect((await store.mailboxes.count_entries("box")).queued, 1)
    expect((await claim_one(store)).payload, "after")
