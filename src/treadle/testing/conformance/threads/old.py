"""Old threads: one that nobody writes to is deleted with its mailbox, unless work waits there."""

from treadle import RunRecord, Store, Thread
from treadle.backends.base import Guarantee
from treadle.commands import AppendThread, CreateThread, DeleteThread, PurgeThread, UpdateThread
from treadle.testing._harness.builders import claim_one, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


async def purged(store: Store, changed_before: int, thread_id: str = "t") -> int | None:
    """Purge a thread, and return the result of the command."""
    command = PurgeThread(thread_id=thread_id, changed_before=changed_before)
    [result] = (await store.commit((command,))).results
    return result if result is None else int(result)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_thread_that_was_changed_before_a_time_is_purged_with_its_mailbox(
    store: Store, clock: ManualClock
) -> None:
    for thread_id in ("t", "other"):
        await store.threads.create(Thread(id=thread_id))
        await store.threads.append(thread_id, says("hello"))
        for _ in range(2):
            await store.mailboxes.send(thread_id, None, dedupe_key="k")
            await store.mailboxes.send(thread_id, None)
        await store.mailboxes.cancel_pending(thread_id)
    await store.runs.upsert(RunRecord(run_id="r", thread_id="t", status="done"))
    changed = clock.now
    expect(await purged(store, changed), None)
    clock.now += 10
    expect(await purged(store, changed + 1), 3)
    expect(await store.threads.summary("t"), None)
    expect(await store.mailboxes.load("t"), None)
    expect((await store.mailboxes.list_entries(mailbox_id="t")).total, 0)
    assert await store.runs.load("r") is not None
    expect((await store.mailboxes.list_entries(mailbox_id="other")).total, 3)
    assert await store.threads.summary("other") is not None
    expect(await purged(store, changed + 1), None)
    await store.threads.create(Thread(id="t"))
    expect(len((await store.threads.list_messages("t")).messages), 0)
    expect((await store.mailboxes.send("t", None, dedupe_key="k")).was_known, False)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_thread_that_was_changed_since_is_not_purged(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    began = clock.now
    clock.now += 10
    await store.threads.append("t", says("hello"))
    expect(await purged(store, began + 10), None)
    clock.now += 10
    await store.threads.update("t", metadata={"title": "later"})
    expect(await purged(store, began + 20), None)
    assert await store.threads.summary("t") is not None
    expect(await purged(store, began + 21), 0)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_thread_whose_mailbox_has_work_is_not_purged(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    sent = await store.mailboxes.send("t", 1)
    later = clock.now + 10**6
    expect(await purged(store, later), None)
    claimed = await claim_one(store, "t")
    expect(await purged(store, later), None)
    await store.mailboxes.ack(claimed)
    expect(claimed.entry_id, sent.entry.entry_id)
    await store.mailboxes.pause("t")
    expect(await purged(store, later), 1)
    expect(await store.mailboxes.load("t"), None)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_thread_that_has_one_below_it_is_not_purged(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", parent_thread_id="t"))
    await store.threads.create(Thread(id="child", parent_thread_id="t"))
    later = clock.now + 10**6
    expect(await purged(store, later), None)
    await store.threads.append("child", says("hello"))
    purge = PurgeThread(thread_id="t", changed_before=later)
    receipt = await store.commit(
        (
            AppendThread(thread_id="child", changes=says("again")),
            purge,
            UpdateThread(thread_id="child", parent_thread_id=None),
            CreateThread(thread=Thread(id="new", parent_thread_id="t")),
            purge,
            DeleteThread(thread_id="new"),
            UpdateThread(thread_id="child", parent_thread_id="t"),
            purge,
            UpdateThread(thread_id="child", parent_thread_id="other"),
            purge,
        )
    )
    expect([receipt.results[each] for each in (1, 4, 7, 9)], [None, None, None, 0])


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_purged_thread_may_be_in_a_ring(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", parent_thread_id="above"))
    await store.threads.create(Thread(id="above", parent_thread_id="t"))
    later = clock.now + 10**6
    expect(await purged(store, later), None)
    purge = PurgeThread(thread_id="t", changed_before=later, ignoring=("above",))
    expect((await store.commit((purge,))).results, (0,))
    expect(await purged(store, later, "above"), 0)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def runs_go_with_a_purged_thread_if_they_are_its_own(
    store: Store, clock: ManualClock
) -> None:
    for key, thread_id in (("r", "t"), ("other", "u")):
        await store.threads.create(Thread(id=thread_id))
        await store.runs.upsert(RunRecord(run_id=key, thread_id=thread_id, status="waiting"))
    purge = PurgeThread(
        thread_id="t", changed_before=clock.now + 10, runs=("r", "other", "nothing")
    )
    expect((await store.commit((purge,))).results, (None,))
    await store.runs.upsert(RunRecord(run_id="r", thread_id="t", status="done"))
    await store.threads.append("t", says("hello"), now=clock.now + 10)
    expect((await store.commit((purge,))).results, (None,))
    assert await store.runs.load("r") is not None
    later = PurgeThread(thread_id="t", changed_before=clock.now + 11, runs=purge.runs)
    expect((await store.commit((later,))).results, (0,))
    expect(await store.runs.load("r"), None)
    assert await store.runs.load("other") is not None
