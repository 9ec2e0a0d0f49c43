"""Restoring: rows as they are in another store, whatever their version and status."""

from weft import Message, Store, Thread
from weft.backends.base import Guarantee
from weft.core.commands import RestoreEntry, RestoreMailbox, RestoreThread
from weft.core.mailboxes import MailboxState
from weft.core.threads import ThreadHead
from weft.testing.builders import claim_ids, entry, says, texts
from weft.testing.clock import ManualClock
from weft.testing.conformance.check import Facet
from weft.testing.expect import expect

facet = Facet("commit")

HEAD = ThreadHead(thread=Thread(id="t", messages=(Message(role="user", content="x"),)), version=7)


@facet.check(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_restored_thread_goes_on_from_its_version(store: Store) -> None:
    await store.threads.create(Thread(id="t", state="old"))
    await store.commit((RestoreThread(head=HEAD),))
    expect(await store.threads.load("t"), HEAD)
    expect((await store.threads.append("t", says("y"), expected=7)).version, 8)
    expect(await texts(store, "t"), ["x", "y"])
    expect(await store.threads.deltas("t", 6), None)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_restored_entry_is_held_by_who_held_it(store: Store, clock: ManualClock) -> None:
    held = entry(
        "e",
        status="claimed",
        claim_token="token",
        claimed_by="w",
        lease_until=clock.now + 100,
        attempt_count=3,
    )
    await store.commit((RestoreEntry(entry=held),))
    await store.mailboxes.send("box", None)
    expect(await store.mailboxes.load("e"), held)
    expect(await claim_ids(store), [])
    await store.mailboxes.ack("e", "token")
    expect(len(await claim_ids(store)), 1)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_restored_entry_takes_the_place_of_the_one_that_is_there(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", priority=9, payload=1))
    await store.commit((RestoreEntry(entry=entry("e", "other", payload=2)),))
    expect(await store.mailboxes.load("e"), entry("e", "other", payload=2))
    expect(await claim_ids(store, mailbox_id="box"), [])
    expect(await claim_ids(store, mailbox_id="other"), ["e"])


@facet.check(Guarantee.WORK_COMES_IN_ONCE)
async def a_restored_mailbox_is_at_its_generation(store: Store) -> None:
    state = MailboxState(mailbox_id="box", current_generation=4, updated_at=5)
    await store.commit((RestoreMailbox(mailbox=state),))
    expect(await store.mailboxes.load_state("box"), state)
    expect((await store.mailboxes.send("box", None)).generation, 4)


@facet.check(Guarantee.VALUES_ARE_KEPT)
async def unknown_fields_of_a_mailbox_s_state_stay(store: Store) -> None:
    state = MailboxState(mailbox_id="box", extra={"later": [1.0]})
    await store.commit((RestoreMailbox(mailbox=state),))
    await store.mailboxes.send("box", None)
    await store.mailboxes.ensure("box")
    interrupted = await store.mailboxes.interrupt("box")
    expect(interrupted.mailbox_state.extra, state.extra)
    expect(await store.mailboxes.load_state("box"), interrupted.mailbox_state)


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def mailboxes_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for mailbox_id in ("b", "é", "a", "B"):
        await store.mailboxes.ensure(mailbox_id)
    page = await store.mailboxes.list_states()
    expect([state.mailbox_id for state in page.items], ["B", "a", "b", "é"])
    expect((page.total, page.has_more), (4, False))
    page = await store.mailboxes.list_states(offset=1, limit=2)
    expect([state.mailbox_id for state in page.items], ["a", "b"])
    expect((page.total, page.has_more), (4, True))
