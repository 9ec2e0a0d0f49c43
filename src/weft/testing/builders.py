"""Short ways to the values that tests need."""

from typing import Any

from weft import Message, Patch, RunRecord, Store, ThreadChangeSet, TrackedPatch, decode
from weft.core.mailboxes import MailboxEntry
from weft.core.patches import Op, Set

TERMINAL = ("accepted", "superseded", "cancelled", "dead_letter")


def entry(entry_id: str, mailbox_id: str = "box", **fields: Any) -> MailboxEntry:
    """A new entry."""
    return MailboxEntry(entry_id=entry_id, mailbox_id=mailbox_id, **fields)


def said(text: str, message_id: str | None = None, **fields: Any) -> Message:
    """A message of the user."""
    return Message(id=message_id, role="user", content=text, **fields)


def says(*texts: str, **fields: Any) -> ThreadChangeSet:
    """A change set that adds messages."""
    return ThreadChangeSet(messages=tuple(said(text) for text in texts), **fields)


def tracked(*ops: Op) -> TrackedPatch:
    """A patch as threads keep it."""
    return TrackedPatch(patch=Patch(ops=ops))


def sets(key: str, value: Any) -> TrackedPatch:
    """A patch that sets one key of the state."""
    return tracked(Set(path=(key,), value=value))


def run(run_id: str, thread_id: str = "t", **fields: Any) -> RunRecord:
    """A run's record."""
    return RunRecord(run_id=run_id, thread_id=thread_id, **fields)


async def texts(store: Store, thread_id: str) -> list[Any]:
    """What the messages of a thread say."""
    head = await store.threads.load(thread_id)
    assert head is not None
    return [message.content for message in head.thread.messages]


async def claim_one(store: Store, mailbox_id: str = "box", **options: Any) -> MailboxEntry:
    """The one entry that a claim gets."""
    options = {"consumer": "worker"} | options
    (claimed,) = await store.mailboxes.claim(1, mailbox_id=mailbox_id, **options)
    return claimed


async def status(store: Store, entry_id: str) -> str:
    """The status of an entry that is there."""
    found = await store.mailboxes.load(entry_id)
    assert found is not None
    return found.status


def patch(source: str) -> Patch:
    """A patch from its JSON."""
    return decode(Patch, source)


async def claim_ids(store: Store, limit: int = 10, **options: Any) -> list[str]:
    """The ids of the entries that a claim gets."""
    options = {"consumer": "worker"} | options
    return [each.entry_id for each in await store.mailboxes.claim(limit, **options)]


async def enqueue(store: Store, *entries: MailboxEntry) -> None:
    """Put entries as they are."""
    for each in entries:
        await store.mailboxes.enqueue(each)


async def generation(store: Store, mailbox_id: str = "box") -> int | None:
    """The generation of a mailbox, if it has one."""
    state = await store.mailboxes.load_state(mailbox_id)
    return None if state is None else state.current_generation


async def loaded(store: Store, entry_id: str = "e") -> MailboxEntry:
    """An entry that is there."""
    found = await store.mailboxes.load(entry_id)
    assert found is not None
    return found


async def end(store: Store, entry_id: str, how: str) -> None:
    """Bring a queued entry to a terminal status."""
    if how == "cancelled":
        await store.mailboxes.cancel(entry_id)
    elif how == "superseded":
        await store.mailboxes.supersede(entry_id, "newer")
    else:
        claimed = await store.mailboxes.claim_entry(entry_id, consumer="w")
        assert claimed is not None
        if how == "accepted":
            await store.mailboxes.ack(claimed)
        else:
            await store.mailboxes.dead_letter(claimed, error="no")
