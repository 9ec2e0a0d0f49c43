"""Deltas: what was appended to a thread since a version, as long as the store knows it."""

from treadle import (
    NotFound,
    RunMeta,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME, PAGE
from treadle.testing._harness.builders import deltas_since, head_of, said, says, sets
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


CHANGES = [
    says("one"),
    ThreadChangeSet(patches=(sets("a", 1),), actions=({"kind": "call"},)),
    ThreadChangeSet(
        run_id="r",
        parent_run_id="q",
        run_meta=RunMeta(agent_id="a"),
        reason="RunFinished",
        messages=(said("two", "m"),),
        snapshot={"b": 1.0},
        extra={"later": True},
    ),
]


async def append_changes(store: Store, clock: ManualClock) -> None:
    """Create the thread `t`, and append `CHANGES` to it, a second apart."""
    await store.threads.create(Thread(id="t"))
    for changes in CHANGES:
        clock.now += 1_000
        await store.threads.append("t", changes)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def deltas_have_the_changes_and_their_times(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    start = clock.now - 3_000
    expect(
        await store.threads.list_deltas("t", 0),
        tuple(
            ThreadDelta(version=version, committed_at=start + 1_000 * version, changes=changes)
            for version, changes in enumerate(CHANGES, start=1)
        ),
    )


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def deltas_begin_after_the_given_version(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    for after in range(4):
        deltas = await deltas_since(store, after)
        expect([delta.version for delta in deltas], list(range(after + 1, 4)))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_limit_gives_the_first_of_the_deltas(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    for after in range(4):
        deltas = await deltas_since(store, after)
        for limit in (-1, 0, 1, 2, 3, 1_000, LARGEST_TIME):
            found = await store.threads.list_deltas("t", after, limit=limit)
            expect(found, deltas[: max(limit, 1)])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_limit_makes_no_unknown_delta_known(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    await store.threads.save(Thread(id="t"))
    await store.threads.append("t", says("x"))
    await store.threads.append("t", says("y"))
    for after in (-1, 0, 2, 3, 7, LARGEST_TIME):
        expect(await store.threads.list_deltas("t", after, limit=1), None)
    deltas = await store.threads.list_deltas("t", 4, limit=1)
    expect([delta.version for delta in deltas or ()], [5])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_page_of_deltas_has_at_most_two_hundred(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        for _ in range(PAGE + 1):
            step.threads.append("t", says("x"))
    deltas = await store.threads.list_deltas("t", 0, limit=LARGEST_TIME)
    expect([delta.version for delta in deltas or ()], list(range(1, PAGE + 1)))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def there_are_no_deltas_after_the_current_version(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    expect(await store.threads.list_deltas("t", 3), ())


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=[4, LARGEST_TIME, -1])
async def the_deltas_after_a_version_that_the_thread_never_had_are_unknown(
    store: Store, clock: ManualClock, version: int
) -> None:
    await append_changes(store, clock)
    expect(await store.threads.list_deltas("t", version), None)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def replaying_the_deltas_gives_the_thread(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    deltas = await deltas_since(store, 0)
    head = await head_of(store)
    replayed = Thread(id="t", metadata=head.thread.metadata)
    for delta in deltas:
        replayed = delta.changes.apply_to(replayed)
    expect(replayed, head.thread)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_save_drops_the_deltas_before_it(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    await store.threads.save(Thread(id="t"))
    expect(await store.threads.list_deltas("t", 3), None)
    expect(await store.threads.list_deltas("t", 0), None)
    expect(await store.threads.list_deltas("t", 4), ())
    await store.threads.append("t", says("x"))
    deltas = await deltas_since(store, 4)
    expect([delta.version for delta in deltas], [5])
    expect(await store.threads.list_deltas("t", 3), None)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_recreated_thread_has_none_of_the_old_deltas(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    await store.threads.delete("t")
    await store.threads.create(Thread(id="t"))
    expect(await store.threads.list_deltas("t", 0), ())
    await store.threads.append("t", says("new"))
    deltas = await deltas_since(store, 0)
    expect([delta.changes for delta in deltas], [says("new")])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def the_deltas_of_a_missing_thread_are_not_found(store: Store) -> None:
    with refused(NotFound) as caught:
        await store.threads.list_deltas("t", 0)
    expect((caught.value.kind, caught.value.key), ("thread", "t"))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def each_append_of_a_batch_has_its_delta(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    async with store.batch() as step:
        step.threads.append("t", says("x"))
        step.threads.append("t", says("y"))
    deltas = await deltas_since(store, 3)
    expect([delta.changes for delta in deltas], [says("x"), says("y")])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=["create", "save"])
async def appends_in_the_batch_that_created_the_thread_have_their_deltas(
    store: Store, first: str
) -> None:
    async with store.batch() as step:
        getattr(step.threads, first)(Thread(id="t"))
        step.threads.append("t", says("x"))
    await store.threads.append("t", says("y"))
    deltas = await deltas_since(store, 0)
    expect([delta.changes for delta in deltas], [says("x"), says("y")])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_failing_append_leaves_no_delta(store: Store, clock: ManualClock) -> None:
    await append_changes(store, clock)
    with refused(VersionConflict):
        await store.threads.append("t", says("x"), expected=0)
    expect(await store.threads.list_deltas("t", 3), ())


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_skipped_message_is_in_the_delta_as_it_was_given(
    store: Store, clock: ManualClock
) -> None:
    await append_changes(store, clock)
    again = ThreadChangeSet(messages=(said("again", "m"),))
    await store.threads.append("t", again)
    deltas = await deltas_since(store, 3)
    expect([delta.changes for delta in deltas], [again])


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_durable_store_knows_its_deltas_after_it_was_reopened(harness: Harness) -> None:
    await append_changes(harness.store, harness.clock)
    before = await deltas_since(harness.store, 0)
    await harness.store.close()
    expect(await deltas_since(await harness.open(), 0), before)
