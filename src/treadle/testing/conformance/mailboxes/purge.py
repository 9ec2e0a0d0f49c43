"""Deletion: of entries that ended before a time, and of whole mailboxes."""

from functools import partial

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.errors import ClaimConflict, NotFound
from treadle.testing._harness.builders import (
    TERMINAL,
    claim_by_id,
    claim_one,
    end,
    enqueue,
    entry,
    generation,
    loaded,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_removes_entries_that_ended_before_a_time(store: Store, clock: ManualClock) -> None:
    for number, how in enumerate(TERMINAL):
        await store.mailboxes.enqueue(entry(how, f"box {number}"))
        await end(store, how, how)
        clock.now += 10
    every = partial(store.mailboxes.purge, statuses=TERMINAL)
    expect(await every(clock.now - 30), 1)
    expect(await store.mailboxes.load_entry("accepted"), None)
    assert await store.mailboxes.load_entry("superseded") is not None
    expect(await every(clock.now), 3)
    expect((await store.mailboxes.list_entries()).total, 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_keeps_entries_that_have_not_ended(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("queued"), entry("claimed", "other"))
    await claim_by_id(store, "claimed")
    expect(await store.mailboxes.purge(clock.now + 10**9), 0)
    expect((await store.mailboxes.list_entries()).total, 2)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_keeps_the_mailbox(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None)
    await store.mailboxes.interrupt("box")
    expect(await store.mailboxes.purge(clock.now + 1), 1)
    expect(await generation(store), 1)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_keeps_dead_letters_unless_they_are_asked_for(
    store: Store, clock: ManualClock
) -> None:
    for number, how in enumerate(TERMINAL):
        await store.mailboxes.enqueue(entry(how, f"box {number}"))
        await end(store, how, how)
    expect(await store.mailboxes.purge(clock.now + 1), 3)
    assert await store.mailboxes.load_entry("dead_letter") is not None
    expect(await store.mailboxes.purge(clock.now + 1, statuses=["accepted"]), 0)
    expect(await store.mailboxes.purge(clock.now + 1, statuses=["dead_letter"]), 1)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_of_a_mailbox_keeps_what_is_in_others(store: Store, clock: ManualClock) -> None:
    for mailbox_id in ("box", "other"):
        for how in ("accepted", "dead_letter"):
            await store.mailboxes.enqueue(entry(f"{how} in {mailbox_id}", mailbox_id))
            await end(store, f"{how} in {mailbox_id}", how)
    await enqueue(store, entry("waiting"))
    expect(await store.mailboxes.purge(clock.now, mailbox_id="box"), 0)
    expect(await store.mailboxes.purge(clock.now + 1, mailbox_id="box"), 1)
    expect(await store.mailboxes.load_entry("accepted in box"), None)
    expect((await store.mailboxes.list_entries()).total, 4)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purges_of_one_batch_count_each_entry_once(store: Store, clock: ManualClock) -> None:
    for how in TERMINAL:
        await store.mailboxes.enqueue(entry(how, f"box of {how}"))
        await end(store, how, how)
    async with store.batch() as step:
        writes = [
            step.mailboxes.purge(clock.now + 1, statuses=["cancelled", "dead_letter"]),
            step.mailboxes.purge(clock.now + 1, mailbox_id="box of superseded"),
            step.mailboxes.delete("box of cancelled"),
            step.mailboxes.purge(clock.now + 2, statuses=TERMINAL),
        ]
    expect([write.result for write in writes], [2, 1, 0, 1])
    expect((await store.mailboxes.list_entries()).total, 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def deleting_a_mailbox_deletes_its_state_and_all_its_entries(
    store: Store, clock: ManualClock
) -> None:
    for how in TERMINAL:
        await store.mailboxes.enqueue(entry(how))
        await end(store, how, how)
    await enqueue(store, entry("waiting"), entry("later", available_at=clock.now + 5))
    await enqueue(store, entry("elsewhere", "other"))
    await store.mailboxes.pause("box")
    expect(await store.mailboxes.delete("box"), 6)
    expect(await store.mailboxes.load("box"), None)
    expect((await store.mailboxes.list_entries(mailbox_id="box")).total, 0)
    expect([each.mailbox_id for each in (await store.mailboxes.list()).items], ["other"])
    assert await store.mailboxes.load_entry("elsewhere") is not None
    expect(await store.mailboxes.delete("box"), 0)


@checks.add(Guarantee.ONE_HOLDER)
async def who_holds_an_entry_of_a_deleted_mailbox_has_lost_it(store: Store) -> None:
    await enqueue(store, entry("e"))
    held = await claim_one(store)
    expect(await store.mailboxes.delete("box"), 1)
    expect(await store.mailboxes.extend_lease(held), False)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(held)
    with refused(NotFound):
        await store.mailboxes.ack(held)
    await store.mailboxes.send("box", "new")
    [found] = await store.mailboxes.claim(5, consumer="next")
    expect(found.payload, "new")


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_deleted_mailbox_begins_again_without_keys_or_interrupts(store: Store) -> None:
    await store.mailboxes.send("box", 1, dedupe_key="k")
    await store.mailboxes.interrupt("box")
    await store.mailboxes.pause("box")
    async with store.batch() as step:
        step.mailboxes.delete("box")
        again = step.mailboxes.send("box", 2, dedupe_key="k")
    expect((again.result.entry.payload, again.result.entry.generation), (2, 0))
    [found] = await store.mailboxes.claim(5, consumer="next")
    expect(found.payload, 2)
    expect(await generation(store), 0)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_purge_frees_the_dedupe_keys_and_ids_of_its_entries(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1, dedupe_key="k"))
    await end(store, "e", "accepted")
    await store.mailboxes.purge(clock.now + 1)
    await store.mailboxes.enqueue(entry("e", payload=2))
    again = (await store.mailboxes.send("box", 3, dedupe_key="k")).entry
    expect(again.payload, 3)
    expect((await loaded(store)).payload, 2)
