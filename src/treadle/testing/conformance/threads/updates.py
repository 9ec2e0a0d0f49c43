"""Updates of a thread's labels, and summaries of threads: neither touches the conversation."""

import asyncio
from typing import Any

from treadle import (
    Committed,
    InvalidId,
    InvalidValue,
    NotFound,
    Store,
    Thread,
    ThreadMetadata,
    ThreadSummary,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.core.restoring import RestoreThread
from treadle.core.threads import ThreadHead
from treadle.testing._harness.builders import deltas_since, head_of, said, says, sets, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

GROWN = Thread(
    id="t",
    resource_id="x",
    parent_thread_id="p",
    messages=(said("one", "a"), said("two", visibility="internal")),
    state={"a": [1, 1.0]},
    patches=(sets("b", 2),),
    metadata=ThreadMetadata(version=7, extra={"title": "old", "tags": {"a": 1, "b": 1}}),
    extra={"pinned": True},
)


async def _summary(store: Store, thread_id: str = "t") -> ThreadSummary:
    found = await store.threads.summary(thread_id)
    assert found is not None, f"thread {thread_id!r} is not there"
    return found


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_summary_is_the_thread_without_its_messages(store: Store, clock: ManualClock) -> None:
    created_at = clock.now
    await store.threads.create(GROWN)
    clock.now += 5
    await store.threads.append("t", says("three"))
    metadata = ThreadMetadata(
        version=7,
        created_at=created_at,
        updated_at=clock.now,
        extra={"title": "old", "tags": {"a": 1, "b": 1}},
    )
    expect(
        await store.threads.summary("t"),
        ThreadSummary(
            id="t",
            resource_id="x",
            parent_thread_id="p",
            metadata=metadata,
            version=1,
            message_count=3,
        ),
    )


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_missing_thread_has_no_summary(store: Store) -> None:
    expect(await store.threads.summary("t"), None)
    await store.threads.create(Thread(id="t"))
    expect((await _summary(store)).message_count, 0)
    await store.threads.delete("t")
    expect(await store.threads.summary("t"), None)


@checks.add(Guarantee.ONE_ORDER, "shared")
async def a_store_that_has_not_read_the_thread_knows_its_summary(harness: Harness) -> None:
    one = harness.store
    await one.threads.create(GROWN)
    for number in range(3):
        await one.threads.append("t", says(f"{number}"))
        await one.threads.update("t", metadata={"title": number})
        found = await _summary(await harness.open())
        expect((found.version, found.message_count), (number + 1, number + 3))
        expect(found.metadata.extra["title"], number)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_update_changes_the_labels_and_nothing_else(store: Store, clock: ManualClock) -> None:
    await store.threads.create(GROWN)
    await store.threads.append("t", says("three"))
    before = await head_of(store)
    clock.now += 5
    updated = await store.threads.update(
        "t", metadata={"title": "new"}, resource_id="y", parent_thread_id="q"
    )
    expect(updated, Committed(version=1))
    after = await head_of(store)
    expect((after.thread.resource_id, after.thread.parent_thread_id), ("y", "q"))
    expect(after.thread.metadata.extra, {"title": "new", "tags": {"a": 1, "b": 1}})
    expect(after.thread.metadata.updated_at, clock.now)
    expect(after.thread.metadata.created_at, before.thread.metadata.created_at)
    expect(after.thread.metadata.version, 7)
    expect((after.version, after.thread.extra), (1, {"pinned": True}))
    expect(after.thread.messages, before.thread.messages)
    expect((after.thread.state, after.thread.patches), (before.thread.state, before.thread.patches))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_update_keeps_what_it_leaves_out_and_removes_what_is_none(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(GROWN)
    clock.now += 5
    await store.threads.update("t")
    kept = await _summary(store)
    expect((kept.resource_id, kept.parent_thread_id), ("x", "p"))
    expect((kept.metadata.extra["title"], kept.metadata.updated_at), ("old", clock.now))
    await store.threads.update("t", resource_id=None)
    await store.threads.update("t", parent_thread_id=None)
    removed = await _summary(store)
    expect((removed.resource_id, removed.parent_thread_id), (None, None))
    expect((await store.threads.list(resource_id="x")).items, ())
    expect((await store.threads.list(parent_thread_id="p")).items, ())


MERGES: dict[str, tuple[Any, Any, Any]] = {
    "a key is set": ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    "a key is added": ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    "null removes a key": ({"a": "b"}, {"a": None}, {}),
    "null removes one key of two": ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    "null for a missing key": ({}, {"a": None}, {}),
    "an array replaces": ({"a": ["b"]}, {"a": ["c", None]}, {"a": ["c", None]}),
    "an object replaces an array": ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "a value replaces an object": ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
    "objects merge": ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}, {"a": {"c": 2, "d": 3}}),
    "nulls of a new object are left out": ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    "a float replaces an equal integer": ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
    "true replaces 1": ({"a": 1}, {"a": True}, {"a": True}),
    "an empty patch": ({"a": 1}, {}, {"a": 1}),
    "an empty key": ({"": 1}, {"": {"<extra>": 2}}, {"": {"<extra>": 2}}),
    "a key like no other": ({}, {"<extra>": {"a": 1}}, {"<extra>": {"a": 1}}),
}
"""Metadata, a merge patch, and the metadata after it; most are in the appendix of RFC 7396."""


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=MERGES)
async def metadata_is_changed_by_a_merge_patch(
    store: Store, before: Any, patch: Any, after: Any
) -> None:
    await store.threads.create(Thread(id="t", metadata=ThreadMetadata(extra=before)))
    await store.threads.update("t", metadata=patch)
    expect((await _summary(store)).metadata.extra, after)
    expect((await head_of(store)).thread.metadata.extra, after)


BAD: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "created_at": ({"metadata": {"created_at": 5}}, InvalidValue),
    "updated_at": ({"metadata": {"a": 1, "updated_at": None}}, InvalidValue),
    "version": ({"metadata": {"version": 5}}, InvalidValue),
    "version_timestamp": ({"metadata": {"version_timestamp": 5}}, InvalidValue),
    "no object": ({"metadata": None}, InvalidValue),
    "no JSON": ({"metadata": {"a": {1, 2}}}, InvalidValue),
    "a surrogate": ({"metadata": {"\ud800": 1}}, InvalidValue),
    "an owner that is no text": ({"resource_id": 5}, InvalidValue),
    "a parent that is no id": ({"parent_thread_id": "a/b"}, InvalidId),
}


@checks.add(Guarantee.VALUES_ARE_KEPT, each=BAD)
async def an_update_that_cannot_be_stored_changes_nothing(
    store: Store, arguments: dict[str, Any], error: type[Exception]
) -> None:
    await store.threads.create(GROWN)
    before = await head_of(store)
    with refused(error):
        await store.threads.update("t", **arguments)
    expect(await head_of(store), before)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def an_update_disturbs_no_append_that_expects_a_version(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("one"), expected=0)
    await store.threads.update("t", metadata={"title": "new"}, expected=1)
    await store.threads.append("t", says("two"), expected=1)
    with refused(VersionConflict):
        await store.threads.update("t", metadata={"title": "late"}, expected=1)
    expect((await _summary(store)).metadata.extra, {"title": "new"})
    with refused(NotFound):
        await store.threads.update("u", metadata={"title": "new"})
    expect(await store.threads.summary("u"), None)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def updates_keep_the_deltas(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    for number in range(3):
        clock.now += 1
        await store.threads.append("t", says(f"{number}"))
        clock.now += 1
        await store.threads.update("t", metadata={"title": number})
        await store.threads.update("t", metadata={"title": None})
    deltas = await deltas_since(store, 0)
    expect([delta.version for delta in deltas], [1, 2, 3])
    expect([delta.changes.messages[0].content for delta in deltas], ["0", "1", "2"])
    expect(await store.threads.list_deltas("t", 3), ())
    expect(await texts(store, "t"), ["0", "1", "2"])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_batch_can_append_and_update_in_any_order(store: Store, clock: ManualClock) -> None:
    for key in ("t", "u"):
        await store.threads.create(Thread(id=key, metadata=ThreadMetadata(extra={"n": 0})))
        async with store.batch() as step:
            for number in (1, 2):
                step.threads.update(key, metadata={"n": number}, now=clock.now + number)
                step.threads.append(key, says(f"{number}"), now=clock.now - number)
            if key == "u":
                step.threads.update(key, metadata={"last": True}, now=clock.now + 7)
        found = await head_of(store, key)
        last = {"last": True} if key == "u" else {}
        expect(found.thread.metadata.extra, {"n": 2} | last)
        expect(found.thread.metadata.updated_at, clock.now + (7 if key == "u" else -2))
        expect(await texts(store, key), ["1", "2"])
        deltas = await store.threads.list_deltas(key, 0)
        expect(None if deltas is None else [delta.version for delta in deltas], [1, 2])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_thread_is_created_and_updated_in_one_batch(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(GROWN)
        step.threads.update("t", resource_id="y", metadata={"title": "new"})
        step.threads.append("t", says("three"))
    found = await _summary(store)
    expect((found.resource_id, found.metadata.extra["title"]), ("y", "new"))
    expect((found.version, found.message_count), (1, 3))


@checks.add(Guarantee.ONE_ORDER, "shared")
async def no_update_loses_an_append_of_another_handle(harness: Harness) -> None:
    one, other = harness.store, await harness.open()
    await one.threads.create(Thread(id="t"))

    async def append() -> None:
        for number in range(20):
            await one.threads.append("t", says(f"{number}"))

    async def update() -> None:
        for number in range(20):
            await other.threads.update("t", metadata={f"k{number}": number})

    await asyncio.gather(append(), update())
    for store in (one, other, await harness.open()):
        expect(await texts(store, "t"), [f"{number}" for number in range(20)])
        expect(len((await _summary(store)).metadata.extra), 20)
        expect((await _summary(store)).version, 20)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_thread_without_times_gets_one_by_an_update(store: Store, clock: ManualClock) -> None:
    await store.commit((RestoreThread(head=ThreadHead(thread=Thread(id="t"), version=3)),))
    expect((await _summary(store)).metadata, ThreadMetadata())
    await store.threads.update("t", metadata={"a": 1})
    expect((await _summary(store)).metadata, ThreadMetadata(updated_at=clock.now, extra={"a": 1}))
    expect((await _summary(store)).version, 3)
