"""Purge: entries that ended before a time are removed."""

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    TERMINAL,
    claim_by_id,
    end,
    enqueue,
    entry,
    generation,
    loaded,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_removes_entries_that_ended_before_a_time(store: Store, clock: ManualClock) -> None:
    for number, how in enumerate(TERMINAL):
        await store.mailboxes.enqueue(entry(how, f"box {number}"))
        await end(store, how, how)
        clock.now += 10
    expect(await store.mailboxes.purge(clock.now - 30), 1)
    expect(await store.mailboxes.load_entry("accepted"), None)
    assert await store.mailboxes.load_entry("superseded") is not None
    expect(await store.mailboxes.purge(clock.now), 3)
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


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_purge_frees_the_dedupe_keys_and_ids_of_its_entries(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1, dedupe_key="k"))
    await end(store, "e", "accepted")
    await store.mailboxes.purge(clock.now + 1)
    await store.mailboxes.enqueue(entry("e", payload=2))
    again = await store.mailboxes.send("box", 3, dedupe_key="k")
    expect(again.payload, 3)
    expect((await loaded(store)).payload, 2)
