"""The operations of child processes in races and crashes, and the store that they begin with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from treadle import Store, Thread
from treadle.core.claims import Ack, Hold, Nack
from treadle.core.commands import Commands
from treadle.core.mailbox_commands import Enqueue, Send
from treadle.core.taking import Take
from treadle.core.thread_commands import AppendThread, CreateThread, DeleteThread
from treadle.core.thread_edits import TruncateThread
from treadle.testing._harness.builders import claim_one, entry, head_of, says
from treadle.testing._harness.dump import read_everything, without_uuids
from treadle.testing._harness.timeouts import run_with_timeout
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

MAILBOXES = ("box", "other")


# --- the store ------------------------------------------------------------------------------------


async def prepare(store: Store) -> None:
    """Write threads, two entries in a mailbox, the first of them claimed, and one in another.

    And three documents that have expired.
    """
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
        step.threads.create(Thread(id="said", messages=says("one", "two", "three").messages))
        for each in (entry("held", priority=9), entry("next"), entry("third", "other")):
            step.mailboxes.enqueue(each)
        for number in range(3):
            step.documents.put("c", str(number), number, expires_at=number)
    held = await claim_one(store, "box", consumer="holder", lease_ms=30_000)
    await store.threads.create(Thread(id="token", state=held.claim_token))


def prepared(subject: Subject, folder: Path) -> Path:
    """Create a store with the data that the operations need."""
    folder.mkdir()

    async def fill() -> None:
        async with Store(subject.make(folder, ManualClock())) as store:
            await prepare(store)

    run_with_timeout(fill())
    return folder


async def look(store: Store) -> Any:
    """Read the contents of a store, without tokens."""
    return without_uuids(await read_everything(store, MAILBOXES))


def contents(subject: Subject, folder: Path) -> Any:
    """Read the contents of the store in a folder, without tokens."""

    async def read() -> Any:
        async with Store(subject.make(folder, ManualClock())) as store:
            return await look(store)

    return run_with_timeout(read())


def each_step() -> Iterator[int]:
    """Count the steps of a write, 1, 2, …: it is stopped at one after the other."""
    yield from range(1, 1_000)
    raise AssertionError("a write of a few rows took a thousand steps")


# --- operations -----------------------------------------------------------------------------------


async def held_token(store: Store) -> str:
    """Return the token of the entry that `prepare` has claimed."""
    return str((await head_of(store, "token")).thread.state)


async def claim(store: Store) -> Any:
    """Claim every entry that can be claimed."""
    return await store.mailboxes.claim(10, consumer="claimer", lease_ms=30_000)


async def claim_later(store: Store) -> Any:
    """Claim every entry that can be claimed once the holder's lease has expired."""
    return await store.mailboxes.claim(10, consumer="late", now=ManualClock().now + 40_000)


async def claim_next(store: Store) -> Any:
    """Claim an entry by its id."""
    return await store.mailboxes.claim_entry("third", consumer="chooser")


async def enqueue_urgent(store: Store) -> Any:
    """Enqueue a more urgent entry in the other mailbox."""
    return await store.commit((Enqueue(entry=entry("urgent", "other", priority=99)),))


async def send_once(store: Store) -> Any:
    """Send with a dedupe key."""
    return await store.commit(
        (Send(entry_id="sent", mailbox_id="other", payload="one", dedupe_key="k"),)
    )


async def send_again(store: Store) -> Any:
    """Send with the same dedupe key."""
    return await store.commit(
        (Send(entry_id="again", mailbox_id="other", payload="two", dedupe_key="k"),)
    )


async def ack(store: Store) -> Any:
    """Settle the held entry."""
    return await store.mailboxes.ack("held", await held_token(store))


async def nack(store: Store) -> Any:
    """Give the held entry back for a retry."""
    token = await held_token(store)
    return await store.commit((Nack(entry_id="held", claim_token=token, error="again"),))


async def extend(store: Store) -> Any:
    """Extend the lease of the held entry."""
    return await store.mailboxes.extend_lease("held", await held_token(store), extension_ms=90_000)


async def take(store: Store) -> Any:
    """Take more from the mailbox of the held entry."""
    token = await held_token(store)
    return await store.commit((Take(entry_id="held", claim_token=token, name="more", limit=5),))


async def step(store: Store) -> Any:
    """Commit the step of a worker: a hold, an append, a send and the settlement."""
    token = await held_token(store)
    batch: Commands = (
        Hold(entry_id="held", claim_token=token),
        AppendThread(thread_id="t", changes=says("step", run_id="r")),
        Send(entry_id="onward", mailbox_id="other", payload=1),
        Ack(entry_id="held", claim_token=token),
    )
    return await store.commit(batch)


async def interrupt(store: Store) -> Any:
    """Interrupt the mailbox of the held entry."""
    return await store.mailboxes.interrupt("box")


async def interrupt_once(store: Store) -> Any:
    """Interrupt that mailbox if nobody has done so."""
    return await store.mailboxes.interrupt("box", expected=0)


async def interrupt_first(store: Store) -> Any:
    """Interrupt a mailbox that does not exist, if nobody has done so."""
    return await store.mailboxes.interrupt("unknown", expected=0)


async def purge_documents(store: Store) -> Any:
    """Purge two of the three documents that have expired."""
    return await store.documents.purge(9, limit=2)


async def put_expired(store: Store) -> Any:
    """Write one again that has expired."""
    return (await store.documents.put("c", "0", "again")).created


async def cancel(store: Store) -> Any:
    """Cancel the entry of the other mailbox."""
    return await store.mailboxes.cancel("third")


async def cancel_next(store: Store) -> Any:
    """Cancel the entry that waits behind the held one."""
    return await store.mailboxes.cancel("next")


async def append_one(store: Store) -> Any:
    """Append at version 0."""
    return await store.threads.append("t", says("one"), expected=0)


async def append_other(store: Store) -> Any:
    """Append something else at version 0."""
    return await store.threads.append("t", says("other"), expected=0)


async def delete(store: Store) -> Any:
    """Remove the thread."""
    return await store.threads.delete("t")


async def save(store: Store) -> Any:
    """Put another thread in its folder."""
    return await store.threads.save(Thread(id="t", state="saved"))


async def update(store: Store) -> Any:
    """Give the thread a title and an owner."""
    return await store.threads.update("t", metadata={"title": "new"}, resource_id="owner")


async def rewrite(store: Store) -> Any:
    """Replace the last two messages of a thread."""
    return await store.commit(
        (
            TruncateThread(thread_id="said", drop=2),
            AppendThread(thread_id="said", changes=says("again")),
        )
    )


async def renew(store: Store) -> Any:
    """Delete the thread and create it again, at the version it had."""
    return await store.commit(
        (
            DeleteThread(thread_id="t"),
            CreateThread(thread=Thread(id="t", state="new")),
        )
    )


async def send_to_box(store: Store) -> Any:
    """Send into the mailbox that is held."""
    return await store.commit((Send(entry_id="sent", mailbox_id="box", payload=1),))


async def enqueue_in_box(store: Store) -> Any:
    """Enqueue an entry of the first generation in the mailbox that is held."""
    return await store.commit((Enqueue(entry=entry("put", "box")),))
