"""Threads: created, appended to, saved, deleted, listed."""

import asyncio
from pathlib import Path

import pytest

from tests.builders import entry, run, said, says, sets, texts, tracked
from tests.clocks import ManualClock
from tests.documents import read_everything
from weft import (
    AlreadyExists,
    NotFound,
    PatchError,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    VersionConflict,
    open_store,
)
from weft.core.patches import Append


async def state(store: Store, thread_id: str) -> object:
    head = await store.threads.load(thread_id)
    assert head is not None
    return head.thread.state


async def version(store: Store, thread_id: str) -> int:
    head = await store.threads.load(thread_id)
    assert head is not None
    return head.version


async def test_a_created_thread_is_at_version_0_and_carries_the_time(
    store: Store, clock: ManualClock
) -> None:
    committed = await store.threads.create(Thread(id="t", state={"a": 1}))
    head = await store.threads.load("t")
    assert head is not None
    assert committed.version == head.version == 0
    assert head.thread == Thread(
        id="t",
        state={"a": 1},
        metadata=ThreadMetadata(created_at=clock.now, updated_at=clock.now),
    )


async def test_a_created_thread_keeps_the_created_at_it_brings(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t", metadata=ThreadMetadata(created_at=5, updated_at=6)))
    head = await store.threads.load("t")
    assert head is not None
    assert head.thread.metadata == ThreadMetadata(created_at=5, updated_at=clock.now)


async def test_a_thread_is_created_once(store: Store) -> None:
    await store.threads.create(Thread(id="t", state=1))
    with pytest.raises(AlreadyExists) as caught:
        await store.threads.create(Thread(id="t", state=2))
    assert (caught.value.kind, caught.value.key) == ("thread", "t")
    assert await state(store, "t") == 1


async def test_a_thread_that_is_not_there_is_none(store: Store) -> None:
    assert await store.threads.load("t") is None


async def test_each_append_raises_the_version_by_one(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    versions = [(await store.threads.append("t", says("x"))).version for _ in range(3)]
    assert versions == [1, 2, 3]
    assert await version(store, "t") == 3


async def test_an_append_of_nothing_raises_the_version_too(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    assert (await store.threads.append("t", ThreadChangeSet())).version == 1


async def test_an_append_to_no_thread_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.threads.append("t", says("x"))
    assert (caught.value.kind, caught.value.key) == ("thread", "t")
    assert await store.threads.load("t") is None


async def test_messages_stand_in_the_order_of_their_appends(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one"),)))
    await store.threads.append("t", says("two", "three"))
    await store.threads.append("t", says("four"))
    assert await texts(store, "t") == ["one", "two", "three", "four"]


async def test_a_message_whose_id_the_thread_has_is_skipped(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one", "a"),)))
    changes = ThreadChangeSet(messages=(said("again", "a"), said("two", "b"), said("twice", "b")))
    await store.threads.append("t", changes)
    await store.threads.append("t", changes)
    assert await texts(store, "t") == ["one", "two"]


async def test_messages_without_ids_are_never_skipped(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("one"),)))
    await store.threads.append("t", says("one", "one"))
    assert await texts(store, "t") == ["one", "one", "one"]


async def test_a_snapshot_replaces_the_state_and_clears_the_patches_before_it(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={"old": 1}, patches=(sets("a", 1),)))
    await store.threads.append("t", ThreadChangeSet(snapshot={"new": 1}, patches=(sets("b", 2),)))
    head = await store.threads.load("t")
    assert head is not None
    assert head.thread.state == {"new": 1}
    assert head.thread.patches == (sets("b", 2),)
    assert head.thread.rebuild_state() == {"new": 1, "b": 2}


async def test_patches_are_kept_in_order_and_leave_the_state_alone(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={}))
    for number in range(3):
        await store.threads.append("t", ThreadChangeSet(patches=(sets("a", number),)))
    head = await store.threads.load("t")
    assert head is not None
    assert head.thread.state == {}
    assert head.thread.patches == (sets("a", 0), sets("a", 1), sets("a", 2))
    assert head.thread.rebuild_state() == {"a": 2}


async def test_a_patch_that_does_not_fit_is_kept_and_fails_when_the_state_is_rebuilt(
    store: Store,
) -> None:
    await store.threads.create(Thread(id="t", state={"a": 1}))
    misfit = tracked(Append(path=("a",), value=1))
    await store.threads.append("t", ThreadChangeSet(patches=(misfit,)))
    head = await store.threads.load("t")
    assert head is not None
    with pytest.raises(PatchError):
        head.thread.rebuild_state()


async def test_an_append_moves_updated_at_and_nothing_else_of_the_metadata(
    store: Store, clock: ManualClock
) -> None:
    metadata = ThreadMetadata(version=7, version_timestamp=8, extra={"color": "red"})
    await store.threads.create(Thread(id="t", metadata=metadata), now=10)
    clock.now += 5
    await store.threads.append("t", says("x"))
    head = await store.threads.load("t")
    assert head is not None
    assert head.thread.metadata == ThreadMetadata(
        created_at=10,
        updated_at=clock.now,
        version=7,
        version_timestamp=8,
        extra={"color": "red"},
    )


async def test_an_append_at_the_expected_version_is_done(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    assert (await store.threads.append("t", says("x"), expected=0)).version == 1
    assert (await store.threads.append("t", says("x"), expected=1)).version == 2


@pytest.mark.parametrize("expected", [0, 1, 3, 2**40])
async def test_an_append_at_another_version_is_a_conflict_and_changes_nothing(
    store: Store, expected: int
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x"))
    await store.threads.append("t", says("y"))
    before = await read_everything(store)
    with pytest.raises(VersionConflict) as caught:
        await store.threads.append("t", says("z", run_id="r"), expected=expected)
    assert (caught.value.thread_id, caught.value.expected) == ("t", expected)
    assert caught.value.actual == 2
    assert await read_everything(store) == before


async def test_of_appends_with_the_same_expected_version_one_is_done(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    results = await asyncio.gather(
        *(store.threads.append("t", says(str(n)), expected=0) for n in range(5)),
        return_exceptions=True,
    )
    assert [isinstance(each, VersionConflict) for each in results].count(False) == 1
    assert await version(store, "t") == 1


async def test_a_saved_thread_is_new_at_version_0_or_replaced_one_version_on(store: Store) -> None:
    assert (await store.threads.save(Thread(id="t", state=1, messages=(said("x"),)))).version == 0
    assert (await store.threads.append("t", says("y"))).version == 1
    assert (await store.threads.save(Thread(id="t", state=2))).version == 2
    assert await state(store, "t") == 2
    assert await texts(store, "t") == []


async def test_a_deleted_thread_is_gone_and_its_run_and_work_stay(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r", "t"))
    await store.mailboxes.enqueue(entry("e", "t"))
    assert await store.threads.delete("t") is True
    assert await store.threads.load("t") is None
    assert (await store.threads.list()).items == ()
    assert await store.runs.load("r") is not None
    assert await store.mailboxes.load("e") is not None
    assert await store.mailboxes.load_state("t") is not None


async def test_deleting_no_thread_says_so(store: Store) -> None:
    assert await store.threads.delete("t") is False


async def test_a_thread_created_after_it_was_deleted_begins_at_version_0(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("old", "a"),)))
    await store.threads.append("t", says("old"))
    await store.threads.delete("t")
    assert (await store.threads.create(Thread(id="t"))).version == 0
    await store.threads.append("t", ThreadChangeSet(messages=(said("new", "a"),)))
    assert await texts(store, "t") == ["new"]


@pytest.mark.parametrize("appends", [0, 1, 2])
async def test_a_thread_deleted_and_created_in_one_batch_is_the_new_one_for_every_handle(
    tmp_path: Path, appends: int
) -> None:
    expected = ["new"] + ["more"] * appends
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        await one.threads.create(Thread(id="t", messages=(said("old"),)))
        assert await texts(other, "t") == ["old"]
        async with one.batch() as step:
            step.threads.delete("t")
            step.threads.create(Thread(id="t", messages=(said("new"),)))
            for _ in range(appends):
                step.threads.append("t", says("more"))
        assert await texts(one, "t") == expected
        assert await texts(other, "t") == expected
    async with open_store(tmp_path) as again:
        assert await texts(again, "t") == expected


async def test_unknown_fields_stay_through_appends(store: Store) -> None:
    thread = Thread(
        id="t",
        messages=(said("x", extra={"tone": "kind"}),),
        extra={"pinned": True, "<extra>": 1},
    )
    await store.threads.create(thread)
    await store.threads.append("t", ThreadChangeSet(messages=(said("y", extra={"n": 1.0}),)))
    head = await store.threads.load("t")
    assert head is not None
    assert head.thread.extra == {"pinned": True, "<extra>": 1}
    assert [message.extra for message in head.thread.messages] == [{"tone": "kind"}, {"n": 1.0}]


@pytest.mark.parametrize("state", [None, 1, 1.0, True, "", [], {}, {"a": [None, 2**64 - 1, "🧵"]}])
async def test_any_json_can_be_the_state(store: Store, state: object) -> None:
    await store.threads.create(Thread(id="t", state=state))
    head = await store.threads.load("t")
    assert head is not None
    assert repr(head.thread.state) == repr(state)


async def test_threads_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for key in ("b", "a.b", "é", "a", "B", "a-b"):
        await store.threads.create(Thread(id=key))
    assert (await store.threads.list()).items == ("B", "a", "a-b", "a.b", "b", "é")


async def test_threads_are_listed_by_owner_and_parent(store: Store) -> None:
    await store.threads.create(Thread(id="a", resource_id="x"))
    await store.threads.create(Thread(id="b", resource_id="x", parent_thread_id="a"))
    await store.threads.create(Thread(id="c", resource_id="y", parent_thread_id="a"))
    assert (await store.threads.list(resource_id="x")).items == ("a", "b")
    assert (await store.threads.list(parent_thread_id="a")).items == ("b", "c")
    both = await store.threads.list(resource_id="x", parent_thread_id="a")
    assert (both.items, both.total, both.has_more) == (("b",), 1, False)
    assert (await store.threads.list(resource_id="z")).items == ()


async def test_a_listing_follows_a_thread_whose_owner_changes(store: Store) -> None:
    await store.threads.create(Thread(id="a", resource_id="x"))
    assert (await store.threads.list(resource_id="x")).items == ("a",)
    await store.threads.save(Thread(id="a", resource_id="y"))
    assert (await store.threads.list(resource_id="x")).items == ()
    assert (await store.threads.list(resource_id="y")).items == ("a",)


@pytest.mark.parametrize(
    ("offset", "limit", "items", "has_more"),
    [
        (0, 2, ("a", "b"), True),
        (2, 2, ("c", "d"), True),
        (4, 2, ("e",), False),
        (3, 2, ("d", "e"), False),
        (5, 2, (), False),
        (99, 2, (), False),
        (-3, 2, ("a", "b"), True),
        (0, 0, ("a",), True),
        (0, -5, ("a",), True),
        (0, 10**6, ("a", "b", "c", "d", "e"), False),
    ],
)
async def test_a_page_of_threads_says_how_many_there_are_and_whether_more_follow(
    store: Store, offset: int, limit: int, items: tuple[str, ...], has_more: bool
) -> None:
    for key in "edcba":
        await store.threads.create(Thread(id=key))
    page = await store.threads.list(offset=offset, limit=limit)
    assert (page.items, page.total, page.has_more) == (items, 5, has_more)


async def test_a_page_of_threads_has_200_at_most(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.threads.create(Thread(id=f"t{number:03}"))
    page = await store.threads.list(limit=500)
    assert (len(page.items), page.total, page.has_more) == (200, 201, True)
