"""Writes: threads are created, appended to, saved and deleted."""

import asyncio

from treadle import (
    AlreadyExists,
    Committed,
    NotFound,
    PatchError,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.core.patches import Append
from treadle.testing._harness.builders import entry, head_of, run, said, says, sets, texts, tracked
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_created_thread_is_at_version_0_and_has_the_time(
    store: Store, clock: ManualClock
) -> None:
    committed = await store.threads.create(Thread(id="t", state={"a": 1}))
    head = await head_of(store)
    expect(committed.version, 0)
    expect(head.version, 0)
    expect(
        head.thread,
        Thread(
            id="t",
            state={"a": 1},
            metadata=ThreadMetadata(created_at=clock.now, updated_at=clock.now),
        ),
    )


@checks.add(Guarantee.TIME_IS_GIVEN)
async def a_created_thread_keeps_its_own_created_at(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", metadata=ThreadMetadata(created_at=5, updated_at=6)))
    head = await head_of(store)
    expect(head.thread.metadata, ThreadMetadata(created_at=5, updated_at=clock.now))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_thread_can_be_created_only_once(store: Store) -> None:
    await store.threads.create(Thread(id="t", state=1))
    with refused(AlreadyExists) as caught:
        await store.threads.create(Thread(id="t", state=2))
    expect((caught.value.kind, caught.value.key), ("thread", "t"))
    expect((await head_of(store)).thread.state, 1)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_ensured_thread_is_created_only_if_it_is_missing(
    store: Store, clock: ManualClock
) -> None:
    expect(await store.threads.ensure(Thread(id="t", state=1)), Committed(version=0))
    await store.threads.append("t", says("x"))
    before = await head_of(store)
    clock.now += 5
    expect(await store.threads.ensure(Thread(id="t", state=2)), Committed(version=1))
    expect(await head_of(store), before)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def loading_a_missing_thread_returns_none(store: Store) -> None:
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def each_append_raises_the_version_by_one(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    versions = [(await store.threads.append("t", says("x"))).version for _ in range(3)]
    expect(versions, [1, 2, 3])
    expect((await head_of(store)).version, 3)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def an_empty_append_raises_the_version_too(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    expect((await store.threads.append("t", ThreadChangeSet())).version, 1)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_append_to_a_missing_thread_is_not_found(store: Store) -> None:
    with refused(NotFound) as caught:
        await store.threads.append("t", says("x"))
    expect((caught.value.kind, caught.value.key), ("thread", "t"))
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def messages_are_in_the_order_of_their_appends(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one"),)))
    await store.threads.append("t", says("two", "three"))
    await store.threads.append("t", says("four"))
    expect(await texts(store, "t"), ["one", "two", "three", "four"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_message_whose_id_the_thread_has_is_skipped(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one", "a"),)))
    changes = ThreadChangeSet(messages=(said("again", "a"), said("two", "b"), said("twice", "b")))
    first = await store.threads.append("t", changes)
    expect(first, Committed(version=1, skipped=("a", "b")))
    second = await store.threads.append("t", changes)
    expect(second, Committed(version=2, skipped=("a", "b", "b")))
    expect(await texts(store, "t"), ["one", "two"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def the_empty_message_id_is_an_id(store: Store) -> None:
    changes = ThreadChangeSet(messages=(said("one", ""), said("again", "")))
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", changes)
    await store.threads.append("t", changes)
    expect(await texts(store, "t"), ["one"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def messages_without_ids_are_never_skipped(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one"),)))
    await store.threads.append("t", says("one", "one"))
    expect(await texts(store, "t"), ["one", "one", "one"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_snapshot_replaces_the_state_and_clears_the_patches_before_it(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={"old": 1}, patches=(sets("a", 1),)))
    await store.threads.append("t", ThreadChangeSet(snapshot={"new": 1}, patches=(sets("b", 2),)))
    head = await head_of(store)
    expect(head.thread.state, {"new": 1})
    expect(head.thread.patches, (sets("b", 2),))
    expect(head.thread.rebuild_state(), {"new": 1, "b": 2})


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_snapshot_without_patches_clears_the_patches(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={"old": 1}, patches=(sets("a", 1),)))
    await store.threads.append("t", ThreadChangeSet(snapshot={"new": 1}))
    head = await head_of(store)
    expect((head.thread.state, head.thread.patches), ({"new": 1}, ()))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_snapshot_keeps_the_messages_and_their_ids(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one", "a"),)))
    again = (said("again", "a"), said("two", "b"))
    await store.threads.append("t", ThreadChangeSet(snapshot={"new": 1}, messages=again))
    await store.threads.append("t", ThreadChangeSet(messages=again))
    expect(await texts(store, "t"), ["one", "two"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=[0, 0.0, False, "", [], {}])
async def an_empty_snapshot_replaces_the_state_too(store: Store, snapshot: object) -> None:
    await store.threads.create(Thread(id="t", state={"old": 1}, patches=(sets("a", 1),)))
    await store.threads.append("t", ThreadChangeSet(snapshot=snapshot))
    head = await head_of(store)
    expect((head.thread.state, head.thread.patches), (snapshot, ()))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def patches_are_kept_in_order_and_do_not_change_the_state(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={}))
    for number in range(3):
        await store.threads.append("t", ThreadChangeSet(patches=(sets("a", number),)))
    head = await head_of(store)
    expect(head.thread.state, {})
    expect(head.thread.patches, (sets("a", 0), sets("a", 1), sets("a", 2)))
    expect(head.thread.rebuild_state(), {"a": 2})


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_patch_that_does_not_apply_is_kept_and_fails_when_the_state_is_rebuilt(
    store: Store,
) -> None:
    await store.threads.create(Thread(id="t", state={"a": 1}))
    misfit = tracked(Append(path=("a",), value=1))
    await store.threads.append("t", ThreadChangeSet(patches=(misfit,)))
    head = await head_of(store)
    with refused(PatchError):
        head.thread.rebuild_state()


@checks.add(Guarantee.TIME_IS_GIVEN)
async def an_append_changes_only_updated_at_of_the_metadata(
    store: Store, clock: ManualClock
) -> None:
    metadata = ThreadMetadata(version=7, version_timestamp=8, extra={"color": "red"})
    await store.threads.create(Thread(id="t", metadata=metadata), now=10)
    clock.now += 5
    await store.threads.append("t", says("x"))
    head = await head_of(store)
    expect(
        head.thread.metadata,
        ThreadMetadata(
            created_at=10,
            updated_at=clock.now,
            version=7,
            version_timestamp=8,
            extra={"color": "red"},
        ),
    )


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def an_append_at_the_expected_version_succeeds(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    expect((await store.threads.append("t", says("x"), expected=0)).version, 1)
    expect((await store.threads.append("t", says("x"), expected=1)).version, 2)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS, each=[0, 1, 3, 2**40])
async def an_append_at_another_version_is_a_conflict_and_changes_nothing(
    store: Store, expected: int
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x"))
    await store.threads.append("t", says("y"))
    before = await read_everything(store)
    with refused(VersionConflict) as caught:
        await store.threads.append("t", says("z", run_id="r"), expected=expected)
    expect((caught.value.key, caught.value.expected), ("t", expected))
    expect(caught.value.actual, 2)
    expect(await read_everything(store), before)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def only_one_of_several_appends_at_the_same_version_succeeds(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    results = await asyncio.gather(
        *(store.threads.append("t", says(str(n)), expected=0) for n in range(5)),
        return_exceptions=True,
    )
    (done,) = (n for n, each in enumerate(results) if not isinstance(each, VersionConflict))
    expect(results[done], Committed(version=1))
    expect(await texts(store, "t"), [str(done)])


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_save_creates_version_0_or_replaces_the_thread_at_the_next_version(store: Store) -> None:
    expect((await store.threads.save(Thread(id="t", state=1, messages=(said("x"),)))).version, 0)
    expect((await store.threads.append("t", says("y"))).version, 1)
    expect((await store.threads.save(Thread(id="t", state=2))).version, 2)
    expect((await head_of(store)).version, 2)
    expect((await head_of(store)).thread.state, 2)
    expect(await texts(store, "t"), [])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_saved_thread_keeps_nothing_of_the_thread_it_replaces(
    store: Store, clock: ManualClock
) -> None:
    old = Thread(
        id="t",
        resource_id="x",
        parent_thread_id="p",
        messages=(said("old"),),
        state={"old": 1},
        patches=(sets("a", 1),),
        metadata=ThreadMetadata(version=7, extra={"color": "red"}),
        extra={"pinned": True},
    )
    await store.threads.create(old)
    await store.threads.save(Thread(id="t"))
    expect((await head_of(store)).thread, Thread(id="t", metadata=_touched(clock.now, clock.now)))


@checks.add(Guarantee.TIME_IS_GIVEN)
async def a_saved_thread_has_its_own_created_at_or_the_time_of_the_save(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t", metadata=ThreadMetadata(created_at=5)))
    clock.now += 10
    await store.threads.save(Thread(id="t"))
    expect((await head_of(store)).thread.metadata, _touched(created_at=clock.now, at=clock.now))
    await store.threads.save(Thread(id="t", metadata=ThreadMetadata(created_at=7, updated_at=8)))
    expect((await head_of(store)).thread.metadata, _touched(created_at=7, at=clock.now))


def _touched(created_at: int, at: int) -> ThreadMetadata:
    return ThreadMetadata(created_at=created_at, updated_at=at)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_save_forgets_the_ids_of_the_messages_it_replaces(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("old", "a"),)))
    await store.threads.save(Thread(id="t", messages=(said("new", "b"),)))
    again = ThreadChangeSet(messages=(said("a again", "a"), said("b again", "b")))
    await store.threads.append("t", again)
    expect(await texts(store, "t"), ["new", "a again"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_deleted_thread_is_gone_and_its_run_and_work_stay(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r", "t"))
    await store.mailboxes.enqueue(entry("e", "t"))
    expect(await store.threads.delete("t"), True)
    expect(await store.threads.load("t"), None)
    expect((await store.threads.list()).items, ())
    assert await store.runs.load("r") is not None
    assert await store.mailboxes.load_entry("e") is not None
    assert await store.mailboxes.load("t") is not None


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def deleting_a_missing_thread_returns_false(store: Store) -> None:
    expect(await store.threads.delete("t"), False)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_thread_created_after_it_was_deleted_begins_at_version_0(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("old", "a"),)))
    await store.threads.append("t", says("old"))
    await store.threads.delete("t")
    expect((await store.threads.create(Thread(id="t"))).version, 0)
    await store.threads.append("t", ThreadChangeSet(messages=(said("new", "a"),)))
    expect(await texts(store, "t"), ["new"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=[1, 2])
async def a_thread_recreated_in_one_batch_keeps_nothing_of_the_old_one(
    store: Store, appends: int
) -> None:
    await store.threads.create(Thread(id="t", messages=(said("old", "a"), said("old", "b"))))
    async with store.batch() as step:
        step.threads.delete("t")
        step.threads.create(Thread(id="t"))
        for key in "ab"[:appends]:
            step.threads.append("t", ThreadChangeSet(messages=(said(f"new {key}", key),)))
    head = await head_of(store)
    expect(head.version, appends)
    expect([message.content for message in head.thread.messages], ["new a", "new b"][:appends])


@checks.add(Guarantee.ONE_ORDER, "shared", each=[0, 1, 2])
async def a_thread_recreated_in_one_batch_is_the_new_one_for_every_handle(
    harness: Harness, appends: int
) -> None:
    expected = ["new"] + ["more"] * appends
    one, other = harness.store, await harness.open()
    await one.threads.create(Thread(id="t", messages=(said("old"),)))
    expect(await texts(other, "t"), ["old"])
    async with one.batch() as step:
        step.threads.delete("t")
        step.threads.create(Thread(id="t", messages=(said("new"),)))
        for _ in range(appends):
            step.threads.append("t", says("more"))
    expect(await texts(one, "t"), expected)
    expect(await texts(other, "t"), expected)
    expect(await texts(await harness.open(), "t"), expected)
