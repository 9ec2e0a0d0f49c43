"""Restoring: rows are copied from another store, with any version and status."""

from treadle import ClaimConflict, Message, Store, Thread
from treadle.backends.base import Guarantee
from treadle.core.mailboxes import MailboxState
from treadle.core.restoring import RestoreEntry, RestoreMailbox, RestoreThread
from treadle.core.threads import ThreadHead
from treadle.testing._harness.builders import claim_ids, entry, loaded, says, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

HEAD = ThreadHead(thread=Thread(id="t", messages=(Message(role="user", content="x"),)), version=7)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_restored_thread_continues_from_its_version(store: Store) -> None:
    await store.threads.create(Thread(id="t", state="old"))
    await store.commit((RestoreThread(head=HEAD),))
    expect(await store.threads.load("t"), HEAD)
    expect((await store.threads.append("t", says("y"), expected=7)).version, 8)
    expect(await texts(store, "t"), ["x", "y"])
    expect(await store.threads.list_deltas("t", 6), None)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_restored_entry_keeps_its_holder(store: Store, clock: ManualClock) -> None:
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
    expect(await store.mailboxes.load_entry("e"), held)
    expect(await claim_ids(store), [])
    await store.mailboxes.ack("e", "token")
    expect(len(await claim_ids(store)), 1)


@checks.add(Guarantee.ONE_HOLDER)
async def a_restored_claim_without_a_lease_holds_its_mailbox_alone(store: Store) -> None:
    held = entry("e", status="claimed", claim_token="token")
    await store.commit((RestoreEntry(entry=held),))
    await store.mailboxes.send("box", None)
    expect(await claim_ids(store), [])
    await store.mailboxes.enqueue(entry("f", "other"))
    expect(await claim_ids(store), ["f"])
    await store.mailboxes.ack("e", "token")
    expect(len(await claim_ids(store)), 1)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def the_number_of_attempts_is_never_negative(store: Store) -> None:
    held = entry("e", status="claimed", claim_token="token", claimed_by="w", lease_until=2**50)
    await store.commit((RestoreEntry(entry=held),))
    await store.mailboxes.release("e", "token")
    expect((await loaded(store)).attempt_count, 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_restored_entry_replaces_the_existing_one(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", priority=9, payload=1))
    await store.commit((RestoreEntry(entry=entry("e", "other", payload=2)),))
    expect(await store.mailboxes.load_entry("e"), entry("e", "other", payload=2))
    expect(await claim_ids(store, mailbox_id="box"), [])
    expect(await claim_ids(store, mailbox_id="other"), ["e"])


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_restored_entry_creates_a_missing_mailbox(store: Store) -> None:
    await store.commit((RestoreEntry(entry=entry("e", generation=4, updated_at=9)),))
    state = MailboxState(mailbox_id="box", current_generation=4, updated_at=9)
    expect(await store.mailboxes.load("box"), state)
    await store.commit((RestoreEntry(entry=entry("f", generation=7, updated_at=10)),))
    expect(await store.mailboxes.load("box"), state)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_restored_mailbox_has_its_generation(store: Store) -> None:
    state = MailboxState(mailbox_id="box", current_generation=4, updated_at=5)
    await store.commit((RestoreMailbox(mailbox=state),))
    expect(await store.mailboxes.load("box"), state)
    expect((await store.mailboxes.send("box", None)).entry.generation, 4)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_interrupt_keeps_a_restored_entry_of_a_later_generation(store: Store) -> None:
    await store.mailboxes.ensure("box")
    await store.commit((RestoreEntry(entry=entry("new", generation=7)),))
    expect((await store.mailboxes.interrupt("box")).superseded_entries, ())
    expect(await claim_ids(store), ["new"])


@checks.add(Guarantee.FENCE)
async def a_restored_claim_of_another_generation_holds_nothing(store: Store) -> None:
    await store.mailboxes.interrupt("box")
    old = entry("e", status="claimed", claim_token="token", claimed_by="w", lease_until=2**50)
    await store.commit((RestoreEntry(entry=old),))
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold("e", "token")
            step.threads.create(Thread(id="t"))
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def unknown_fields_of_a_mailbox_are_kept(store: Store) -> None:
    state = MailboxState(mailbox_id="box", extra={"later": [1.0]})
    await store.commit((RestoreMailbox(mailbox=state),))
    await store.mailboxes.send("box", None)
    await store.mailboxes.ensure("box")
    interrupted = await store.mailboxes.interrupt("box")
    expect(interrupted.mailbox_state.extra, state.extra)
    expect(await store.mailboxes.load("box"), interrupted.mailbox_state)
