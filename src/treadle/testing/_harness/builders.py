"""Short ways to the values that tests need, and to what they do with a store again and again."""

from typing import Any

from treadle import (
    Batch,
    MailboxEntry,
    Message,
    Patch,
    RunRecord,
    Store,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    TrackedPatch,
    decode,
)
from treadle.core.mailboxes import EntryStatus
from treadle.core.patches import Op, Set

TERMINAL: tuple[EntryStatus, ...] = ("accepted", "superseded", "cancelled", "dead_letter")


# --- values ---------------------------------------------------------------------------------------


def said(text: str, message_id: str | None = None, **fields: Any) -> Message:
    """A message of the user."""
    return Message(id=message_id, role="user", content=text, **fields)


def says(*texts: str, **fields: Any) -> ThreadChangeSet:
    """A change set that adds messages."""
    return ThreadChangeSet(messages=tuple(said(text) for text in texts), **fields)


def patch(source: str) -> Patch:
    """A patch from its JSON."""
    return decode(Patch, source)


def tracked(*ops: Op) -> TrackedPatch:
    """A patch as threads keep it."""
    return TrackedPatch(patch=Patch(ops=ops))


def sets(key: str, value: Any) -> TrackedPatch:
    """A patch that sets one key of the state."""
    return tracked(Set(path=(key,), value=value))


def run(run_id: str, thread_id: str = "t", **fields: Any) -> RunRecord:
    """A run's record, with times that no write sets."""
    times: dict[str, Any] = {"created_at": 1, "updated_at": 1}
    return RunRecord(run_id=run_id, thread_id=thread_id, **times | fields)


def entry(entry_id: str, mailbox_id: str = "box", **fields: Any) -> MailboxEntry:
    """A new entry."""
    return MailboxEntry(entry_id=entry_id, mailbox_id=mailbox_id, **fields)


# --- batches --------------------------------------------------------------------------------------


def results_of(step: Batch) -> tuple[Any, ...]:
    """What the commands of a batch that was committed gave."""
    assert step.receipt is not None, "it was not committed"
    return step.receipt.results


# --- threads and runs -----------------------------------------------------------------------------


async def head_of(store: Store, thread_id: str = "t") -> ThreadHead:
    """A thread that is there, and its version."""
    head = await store.threads.load(thread_id)
    assert head is not None, f"thread {thread_id!r} is not there"
    return head


async def texts(store: Store, thread_id: str) -> list[Any]:
    """What the messages of a thread say."""
    return [message.content for message in (await head_of(store, thread_id)).thread.messages]


async def deltas_since(store: Store, version: int) -> tuple[ThreadDelta, ...]:
    """The deltas of the thread `t` since a version from which they are known."""
    deltas = await store.threads.list_deltas("t", version)
    assert deltas is not None, f"the deltas since version {version} are not known"
    return deltas


async def loaded_run(store: Store, run_id: str = "r") -> RunRecord:
    """A run that is there."""
    found = await store.runs.load(run_id)
    assert found is not None, f"run {run_id!r} is not there"
    return found


# --- mailboxes ------------------------------------------------------------------------------------


async def enqueue(store: Store, *entries: MailboxEntry) -> None:
    """Put entries as they are."""
    for each in entries:
        await store.mailboxes.enqueue(each)


async def claim_one(store: Store, mailbox_id: str = "box", **options: Any) -> MailboxEntry:
    """The one entry that a claim gets."""
    options = {"consumer": "worker"} | options
    claimed = await store.mailboxes.claim(1, mailbox_id=mailbox_id, **options)
    assert len(claimed) == 1, f"a claim of one from mailbox {mailbox_id!r} got {claimed}"
    return claimed[0]


async def claim_by_id(store: Store, entry_id: str, **options: Any) -> MailboxEntry:
    """An entry that can be had, claimed by its id."""
    options = {"consumer": "worker"} | options
    claimed = await store.mailboxes.claim_entry(entry_id, **options)
    assert claimed is not None, f"entry {entry_id!r} cannot be had"
    return claimed


async def claim_ids(store: Store, limit: int = 10, **options: Any) -> list[str]:
    """The ids of the entries that a claim gets."""
    options = {"consumer": "worker"} | options
    return [each.entry_id for each in await store.mailboxes.claim(limit, **options)]


async def end(store: Store, entry_id: str, how: str) -> None:
    """Bring a queued entry to a terminal status."""
    if how == "cancelled":
        await store.mailboxes.cancel(entry_id)
    elif how == "superseded":
        await store.mailboxes.supersede(entry_id, "newer")
    elif how == "accepted":
        await store.mailboxes.ack(await claim_by_id(store, entry_id))
    else:
        await store.mailboxes.dead_letter(await claim_by_id(store, entry_id), error="no")


async def loaded(store: Store, entry_id: str = "e") -> MailboxEntry:
    """An entry that is there."""
    found = await store.mailboxes.load_entry(entry_id)
    assert found is not None, f"entry {entry_id!r} is not there"
    return found


async def status(store: Store, entry_id: str) -> str:
    """The status of an entry that is there."""
    return (await loaded(store, entry_id)).status


async def generation(store: Store, mailbox_id: str = "box") -> int | None:
    """The generation of a mailbox, if it has one."""
    state = await store.mailboxes.load(mailbox_id)
    return None if state is None else state.current_generation
