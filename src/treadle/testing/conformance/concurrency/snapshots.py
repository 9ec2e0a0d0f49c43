"""Snapshots: queries that are asked together see the store as it was at one moment."""

import asyncio
from pathlib import Path

from treadle import NotFound, Store, Thread
from treadle.backends.base import Guarantee
from treadle.queries import CountEntries, ListMessages, LoadDocuments, LoadRun, LoadThreadSummary
from treadle.testing._harness.builders import run, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import ChildProcess
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.timeouts import run_with_timeout
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

checks = Checks(__name__)

COMMITS = 40


async def count_up(store: Store) -> None:
    """Commit steps that each raise the number of a message, a run, a document and an entry."""
    for number in range(1, COMMITS + 1):
        await write(store, number)
        await asyncio.sleep(0)


async def write(store: Store, number: int) -> None:
    async with store.batch() as step:
        step.threads.append("t", says(str(number)))
        step.runs.upsert(run("r", input_tokens=number))
        step.documents.put("marks", "number", number)
        step.mailboxes.send("box", number)


async def begin(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await write(store, 0)


async def look(store: Store) -> int:
    """Read everything that `count_up` writes at once, and return the number that all have."""
    stats, found, (document,), page, head = await store.read(
        CountEntries(mailbox_id="box"),
        LoadRun(run_id="r"),
        LoadDocuments(collection="marks", keys=(("number",),)),
        ListMessages(thread_id="t", order="desc", limit=1),
        LoadThreadSummary(thread_id="t"),
    )
    assert found is not None, "the run is not there"
    assert document is not None, "the document is not there"
    assert head is not None, "the thread is not there"
    number = head.version - 1
    seen = [stats.queued - 1, found.input_tokens, document.value, page.messages[0].message.content]
    expect(seen, [number, number, number, str(number)])
    return number


@checks.add(Guarantee.ONE_ORDER)
async def queries_that_are_asked_together_have_one_snapshot(store: Store) -> None:
    await begin(store)
    writing = asyncio.ensure_future(count_up(store))
    seen = [0]
    try:
        while not writing.done():
            seen.append(await look(store))
            await asyncio.sleep(0)
    finally:
        await writing
    seen.append(await look(store))
    expect(seen, sorted(seen))
    expect(seen[-1], COMMITS)


@checks.add(Guarantee.ONE_ORDER, "shared")
def queries_that_are_asked_together_have_one_snapshot_beside_another_process(
    subject: Subject, folder: Path
) -> None:
    here = folder / "store"
    here.mkdir()

    async def read_beside(writer: ChildProcess) -> list[int]:
        async with Store(subject.make(here, ManualClock())) as store:
            await begin(store)
            writer.begin(count_up)
            seen: list[int] = []
            while not seen or seen[-1] < COMMITS:
                seen.append(await look(store))
            return seen

    with ChildProcess(subject, here) as writer:
        seen = run_with_timeout(read_beside(writer))
        expect(writer.result(), None)
    expect(seen, sorted(seen))


@checks.add(Guarantee.ONE_ORDER)
async def answers_are_in_the_order_of_their_queries(store: Store) -> None:
    await begin(store)
    queries = [LoadThreadSummary(thread_id=key) for key in ("x", "t", "y", "t")]
    head = await store.threads.summary("t")
    expect(await store.read(*queries), (None, head, None, head))
    expect(await store.read(LoadThreadSummary(thread_id="t")), (head,))
    expect(await store.read(), ())


@checks.add(Guarantee.ONE_ORDER)
async def a_query_that_fails_fails_those_that_are_asked_with_it(store: Store) -> None:
    await begin(store)
    with refused(NotFound) as caught:
        await store.read(LoadThreadSummary(thread_id="t"), ListMessages(thread_id="x"))
    expect(caught.value.key, "x")
    expect(await look(store), 0)
