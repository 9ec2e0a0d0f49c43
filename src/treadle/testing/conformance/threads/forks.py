"""Forks: a new thread begins with the first messages of another one."""

from typing import Any, cast

from treadle import (
    AlreadyExists,
    Committed,
    InvalidValue,
    NotFound,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.builders import (
    deltas_since,
    head_of,
    results_of,
    said,
    says,
    sets,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

MESSAGES = tuple(said(text, text) for text in ("a", "b", "c", "d"))
SOURCE = Thread(
    id="t",
    messages=MESSAGES[:2],
    resource_id="x",
    parent_thread_id="p",
    metadata=ThreadMetadata(extra={"title": "old"}),
    extra={"later": 1.0},
)


async def create(store: Store, **fields: Any) -> None:
    """Create the thread `t` with two messages, and append two others one by one."""
    await store.threads.create(Thread(id="t", messages=MESSAGES[:2], **fields))
    for message in MESSAGES[2:]:
        await store.threads.append("t", message)


POSITIONS = {"none": 0, "some": 3, "as many as there are": 4, "more": LARGEST_TIME}


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=POSITIONS)
async def a_fork_has_the_first_messages_and_names_its_origin(
    store: Store, clock: ManualClock, at: int
) -> None:
    await store.threads.create(SOURCE)
    await store.threads.append("t", *MESSAGES[2:])
    before = await head_of(store)
    clock.now += 1_000
    expect(await store.threads.fork("t", "new", at=at), Committed(version=0))
    forked = (await head_of(store, "new")).thread
    expect(forked.messages, MESSAGES[:at])
    expect((forked.resource_id, forked.parent_thread_id), ("x", "p"))
    expect(forked.extra, {"later": 1.0})
    origin = {"thread_id": "t", "version": 1, "messages": min(at, 4)}
    extra = {"title": "old", "forked_from": origin}
    metadata = ThreadMetadata(created_at=clock.now, updated_at=clock.now, extra=extra)
    expect(forked.metadata, metadata)
    expect(await head_of(store), before)
    expect(await store.threads.list_deltas("new", 0), ())


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_and_its_source_change_without_each_other(store: Store) -> None:
    await create(store)
    await store.threads.fork("t", "new", at=3)
    again = await store.threads.append("new", MESSAGES[2], MESSAGES[3], said("e"))
    expect(again.skipped, ("c",))
    await store.threads.truncate("t", keep=1)
    await store.threads.append("t", said("f"))
    expect(await texts(store, "new"), ["a", "b", "c", "d", "e"])
    expect(await texts(store, "t"), ["a", "f"])
    await store.threads.delete("t")
    expect(await texts(store, "new"), ["a", "b", "c", "d", "e"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_at_the_end_has_state_and_patches(store: Store) -> None:
    await create(store, state={"n": 1})
    await store.threads.append("t", ThreadChangeSet(patches=(sets("a", 1),)))
    await store.threads.fork("t", "new")
    source, forked = (await head_of(store)).thread, (await head_of(store, "new")).thread
    expect((forked.state, forked.patches), ({"n": 1}, source.patches))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_earlier_fork_needs_a_state_unless_there_never_was_one(store: Store) -> None:
    await create(store)
    await store.threads.fork("t", "stateless", at=1)
    await store.threads.append("t", ThreadChangeSet(patches=(sets("a", 1),)))
    with refused(InvalidValue) as caught:
        await store.threads.fork("t", "new", at=1)
    expect(caught.value.where, "forkThread.state")
    expect(await store.threads.load("new"), None)
    await store.threads.fork("t", "new", at=1, state=None)
    expect((await head_of(store, "new")).thread.patches, ())
    await store.threads.append("t", ThreadChangeSet(snapshot={"n": 1}))
    with refused(InvalidValue):
        await store.threads.fork("t", "newer", at=1)
    await store.threads.fork("t", "newer", at=1, state={"n": 0})
    forked = (await head_of(store, "newer")).thread
    expect((forked.state, forked.patches, forked.messages), ({"n": 0}, (), MESSAGES[:1]))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=["y", None])
async def a_fork_may_have_another_owner(store: Store, owner: str | None) -> None:
    await store.threads.create(SOURCE)
    await store.threads.fork("t", "new", resource_id=owner)
    expect((await head_of(store, "new")).thread.resource_id, owner)
    expect((await store.threads.list(resource_id="x")).items, ("t",))


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_fork_that_cannot_be_made_changes_nothing(store: Store) -> None:
    await create(store)
    await store.threads.create(Thread(id="u"))
    with refused(NotFound):
        await store.threads.fork("missing", "new")
    for taken in ("t", "u"):
        with refused(AlreadyExists):
            await store.threads.fork("t", taken)
    with refused(VersionConflict):
        await store.threads.fork("t", "new", expected=1)
    for position in (-1, LARGEST_TIME + 1, cast("int", "1")):
        with refused(InvalidValue):
            await store.threads.fork("t", "new", at=position)
    with refused(InvalidValue):
        await store.threads.fork("t", "new", state=float("nan"))
    expect(await store.threads.load("new"), None)
    expect((await store.threads.fork("t", "new", expected=2)).version, 0)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_fork_sees_what_its_batch_has_done_before(store: Store) -> None:
    await create(store)
    async with store.batch() as step:
        step.threads.append("t", said("e"), said("again", "a"))
        step.threads.update("t", metadata={"title": "new"}, resource_id="y")
        step.threads.truncate("t", drop=2)
        step.threads.append("t", ThreadChangeSet(snapshot={"n": 2}, patches=(sets("a", 1),)))
        step.threads.append("t", said("f"))
        step.threads.fork("t", "new")
        step.threads.append("t", said("g"))
        step.threads.append("new", said("h"), said("known", "b"))
        step.threads.truncate("new", drop=2)
        step.threads.fork("new", "newer")
    expect(results_of(step)[7].skipped, ("b",))
    expect(results_of(step)[8].removed, (said("f"), said("h")))
    expect(await texts(store, "t"), ["a", "b", "c", "f", "g"])
    for key in ("new", "newer"):
        forked = (await head_of(store, key)).thread
        expect(forked.messages, MESSAGES[:3])
        expect((forked.state, forked.patches), ({"n": 2}, (sets("a", 1),)))
        expect((forked.resource_id, forked.metadata.extra["title"]), ("y", "new"))


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_thread_is_forked_in_the_batch_that_creates_or_ends_it(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t", messages=MESSAGES, state=1))
        step.threads.fork("t", "new")
        step.threads.delete("t")
        step.threads.fork("new", "t", at=2, state=2)
    expect(await texts(store, "new"), ["a", "b", "c", "d"])
    expect(await texts(store, "t"), ["a", "b"])
    expect((await head_of(store)).thread.state, 2)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_durable_store_keeps_a_fork(harness: Harness) -> None:
    await create(harness.store)
    await harness.store.threads.fork("t", "new", at=1)
    await harness.store.threads.append("new", says("x"))
    await harness.store.close()
    reopened = await harness.open()
    expect(await texts(reopened, "new"), ["a", "x"])
    expect(await texts(reopened, "t"), ["a", "b", "c", "d"])
    expect(len(await deltas_since(reopened, 0)), 2)
