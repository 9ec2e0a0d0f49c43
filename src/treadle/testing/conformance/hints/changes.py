"""Hints: who listens hears of every change, and not before it can be read."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from treadle import Hint, RunRecord, Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_one, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import ChildProcess
from treadle.testing._harness.expect import expect
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.listening import Listener, listening

checks = Checks(__name__)

ANYTHING = Hint(kind="anything")
THREAD = Hint(kind="thread", id="t")
BOX = Hint(kind="mailbox", id="box")
RUN = Hint(kind="run", id="r")
NOTES = Hint(kind="collection", id="notes")

Change = Callable[[Store], Awaitable[object]]

CHANGES: dict[str, tuple[Hint, Change]] = {
    "create": (Hint(kind="thread", id="new"), lambda s: s.threads.create(Thread(id="new"))),
    "append": (THREAD, lambda s: s.threads.append("t", says("more"))),
    "empty append": (THREAD, lambda s: s.threads.append("t", ThreadChangeSet())),
    "update": (THREAD, lambda s: s.threads.update("t", metadata={"title": "Hi"})),
    "save": (THREAD, lambda s: s.threads.save(Thread(id="t"))),
    "delete": (THREAD, lambda s: s.threads.delete("t")),
    "run": (RUN, lambda s: s.runs.upsert(RunRecord(run_id="r", thread_id="t", status="done"))),
    "run of a thread": (THREAD, lambda s: s.runs.upsert(RunRecord(run_id="s", thread_id="t"))),
    "deletion of a run": (RUN, lambda s: s.runs.delete("r")),
    "send": (BOX, lambda s: s.mailboxes.send("box", 2)),
    "claim": (BOX, lambda s: s.mailboxes.claim(consumer="c")),
    "interrupt": (BOX, lambda s: s.mailboxes.interrupt("box")),
    "put": (NOTES, lambda s: s.documents.put("notes", "a", 2)),
    "deletion of a document": (NOTES, lambda s: s.documents.delete("notes", "a")),
}


async def prepare(store: Store) -> None:
    """Create one of each."""
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(RunRecord(run_id="r", thread_id="t"))
    await store.mailboxes.send("box", 1)
    await store.documents.put("notes", "a", 1)


@asynccontextmanager
async def heard(
    store: Store, *, thread_id: str | None = None, mailbox_id: str | None = None
) -> AsyncGenerator[Listener[Hint]]:
    """Listen during the block, in which what came before it is forgotten."""
    async with listening(store.changes(thread_id=thread_id, mailbox_id=mailbox_id)) as listener:
        # a backend that begins to listen may say "anything" once more
        assert ANYTHING in await listener.until_quiet(0.1), "the first hint does not come at once"
        yield listener


async def until(listener: Listener[Hint], hint: Hint) -> None:
    """Return once a hint, or "anything", has come."""
    await listener.until(lambda hints: hint in hints or ANYTHING in hints)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def the_first_hint_comes_at_once(store: Store) -> None:
    async with listening(store.changes(thread_id="nobody's")) as listener:
        await listener.until(lambda hints: ANYTHING in hints)


@checks.add(Guarantee.CHANGES_ARE_HINTED, each=CHANGES)
async def a_change_gives_a_hint(store: Store, hint: Hint, change: Change) -> None:
    await prepare(store)
    async with heard(store) as listener:
        await change(store)
        await until(listener, hint)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def the_end_of_a_claim_gives_a_hint(store: Store) -> None:
    await prepare(store)
    claimed = await claim_one(store)
    async with heard(store, mailbox_id="box") as listener:
        await store.mailboxes.ack(claimed)
        await until(listener, BOX)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_batch_gives_a_hint_for_each_of_its_changes(store: Store) -> None:
    await prepare(store)
    async with heard(store) as listener:
        async with store.batch() as step:
            step.threads.append("t", says("more"))
            step.mailboxes.send("box", 2)
            step.documents.put("notes", "b", 1)
        for hint in (THREAD, BOX, NOTES):
            await until(listener, hint)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_purge_gives_a_hint(store: Store) -> None:
    await prepare(store)
    await store.mailboxes.ack(await claim_one(store))
    async with heard(store, mailbox_id="box") as listener:
        expect(await store.mailboxes.purge(ended_before=10**15), 1)
        await until(listener, BOX)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_thread_and_a_mailbox_are_listened_to_beside_others(store: Store) -> None:
    await prepare(store)
    async with heard(store, thread_id="t", mailbox_id="box") as listener:
        await store.threads.create(Thread(id="other"))
        await store.threads.append("t", says("more"))
        await until(listener, THREAD)
        listener.items.clear()
        await store.mailboxes.send("other", 1)
        await store.mailboxes.send("box", 1)
        await until(listener, BOX)
        assert Hint(kind="thread", id="other") not in listener.items


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def every_listener_hears_of_a_change(store: Store) -> None:
    await prepare(store)
    async with heard(store) as one, heard(store, thread_id="t") as two, heard(store) as three:
        await store.threads.append("t", says("more"))
        for listener in (one, two, three):
            await until(listener, THREAD)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_hint_comes_when_the_change_can_be_read(store: Store) -> None:
    """A reader that reads after each hint, and only then, ends with the last version."""
    await store.threads.create(Thread(id="t"))
    versions: list[int] = []

    async def read() -> AsyncGenerator[int]:
        async for _ in store.changes(thread_id="t"):
            head = await store.threads.summary("t")
            versions.append(-1 if head is None else head.version)
            yield versions[-1]

    async with listening(read()) as listener:
        await listener.until(lambda found: 0 in found)
        for number in range(30):
            await store.threads.append("t", says(str(number)))
            if number % 3 == 0:
                await asyncio.sleep(0.002)
        await listener.until(lambda found: found[-1] == 30)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_change_while_nobody_asks_is_hinted_later(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    hints = store.changes(thread_id="t")
    expect(await anext(hints), ANYTHING)
    await store.threads.append("t", says("more"))
    await store.threads.append("t", says("and more"))
    await asyncio.sleep(0.1)
    async with listening(hints) as listener:
        await until(listener, THREAD)


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_listener_ends_with_the_store(harness: Harness) -> None:
    store = await harness.open()
    async with listening(store.changes()) as listener:
        await listener.until(lambda hints: ANYTHING in hints)
        await store.close()
        await listener.until_end()


@checks.add(Guarantee.CHANGES_ARE_HINTED, "shared")
async def a_change_of_another_handle_gives_a_hint(harness: Harness) -> None:
    await prepare(harness.store)
    other = await harness.open()
    async with heard(harness.store, thread_id="t") as listener:
        await other.threads.append("t", says("more"))
        await until(listener, THREAD)


async def append_one(store: Store) -> None:
    """A change that another process makes."""
    await store.threads.append("t", says("elsewhere"))


@checks.add(Guarantee.CHANGES_ARE_HINTED, "shared")
async def a_change_of_another_process_gives_a_hint(harness: Harness) -> None:
    await prepare(harness.store)
    with ChildProcess(harness.subject, harness.folder) as other:
        async with heard(harness.store, thread_id="t") as listener:
            other.begin(append_one)
            await until(listener, THREAD)
        await asyncio.to_thread(other.result)
