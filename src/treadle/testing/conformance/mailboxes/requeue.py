"""Requeue: a dead letter is queued again."""

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    claim_ids,
    claim_one,
    end,
    enqueue,
    entry,
    loaded,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_requeued_dead_letter_is_like_a_new_entry(store: Store, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("box", "x", priority=3, dedupe_key="k")).entry
    await store.mailboxes.dead_letter(await claim_one(store), error="no")
    await store.mailboxes.interrupt("box")
    clock.now += 1_000
    back = await store.mailboxes.requeue(sent.entry_id)
    expect(
        back,
        entry(
            sent.entry_id,
            payload="x",
            priority=3,
            dedupe_key="k",
            generation=1,
            last_error="no",
            available_at=clock.now,
            turn=clock.now,
            closes_runs=True,
            created_at=sent.created_at,
            updated_at=clock.now,
        ),
    )
    expect(await loaded(store, sent.entry_id), back)
    expect((await store.mailboxes.send("box", "y", dedupe_key="k")).entry.entry_id, sent.entry_id)
    expect((await claim_one(store)).entry_id, sent.entry_id)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_requeued_dead_letter_waits_while_its_mailbox_is_held(store: Store) -> None:
    await enqueue(store, entry("e", priority=9), entry("next"))
    await store.mailboxes.dead_letter(await claim_one(store))
    held = await claim_one(store)
    await store.mailboxes.requeue("e")
    expect(await claim_ids(store), [])
    await store.mailboxes.ack(held)
    expect(await claim_ids(store), ["e"])


@checks.add(
    Guarantee.ENTRIES_MOVE_BY_RULE,
    each=["queued", "claimed", "accepted", "superseded", "cancelled"],
)
async def only_a_dead_letter_is_requeued(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if how == "claimed":
        await claim_one(store)
    elif how != "queued":
        await end(store, "e", how)
    before = await loaded(store)
    expect(await store.mailboxes.requeue("e"), before)
    expect(await store.mailboxes.load_entry("e"), before)
    expect(before.status, how)
