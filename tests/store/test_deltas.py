"""Deltas: what was appended to a thread since a version, as long as the store knows it."""

import pytest

from tests.builders import said, says, sets
from tests.clocks import ManualClock
from weft import (
    NotFound,
    RunMeta,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    VersionConflict,
    open_store,
)

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


@pytest.fixture
async def told(store: Store, clock: ManualClock) -> Store:
    """A store with a thread `t` to which `CHANGES` were appended, a second apart."""
    await store.threads.create(Thread(id="t"))
    for changes in CHANGES:
        clock.now += 1_000
        await store.threads.append("t", changes)
    return store


async def test_deltas_say_what_was_appended_and_when(told: Store, clock: ManualClock) -> None:
    start = clock.now - 3_000
    assert await told.threads.deltas("t", 0) == tuple(
        ThreadDelta(version=version, committed_at=start + 1_000 * version, changes=changes)
        for version, changes in enumerate(CHANGES, start=1)
    )


async def test_deltas_begin_after_the_version_asked_for(told: Store) -> None:
    for after in range(4):
        deltas = await told.threads.deltas("t", after)
        assert deltas is not None
        assert [delta.version for delta in deltas] == list(range(after + 1, 4))


async def test_there_are_no_deltas_after_the_current_version(told: Store) -> None:
    assert await told.threads.deltas("t", 3) == ()


@pytest.mark.parametrize("version", [4, 10**9, -1])
async def test_the_deltas_after_a_version_the_thread_never_had_are_not_known(
    told: Store, version: int
) -> None:
    assert await told.threads.deltas("t", version) is None


async def test_replaying_the_deltas_leads_to_the_thread(told: Store) -> None:
    deltas = await told.threads.deltas("t", 0)
    head = await told.threads.load("t")
    assert deltas is not None
    assert head is not None
    replayed = Thread(id="t", metadata=head.thread.metadata)
    for delta in deltas:
        replayed = delta.changes.apply_to(replayed)
    assert replayed == head.thread


async def test_a_save_makes_what_came_before_it_unknown(told: Store) -> None:
    await told.threads.save(Thread(id="t"))
    assert await told.threads.deltas("t", 3) is None
    assert await told.threads.deltas("t", 0) is None
    assert await told.threads.deltas("t", 4) == ()
    await told.threads.append("t", says("x"))
    deltas = await told.threads.deltas("t", 4)
    assert deltas is not None
    assert [delta.version for delta in deltas] == [5]
    assert await told.threads.deltas("t", 3) is None


async def test_a_thread_created_anew_has_none_of_the_old_deltas(told: Store) -> None:
    await told.threads.delete("t")
    await told.threads.create(Thread(id="t"))
    assert await told.threads.deltas("t", 0) == ()
    await told.threads.append("t", says("new"))
    deltas = await told.threads.deltas("t", 0)
    assert deltas is not None
    assert [delta.changes for delta in deltas] == [says("new")]


async def test_the_deltas_of_no_thread_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.threads.deltas("t", 0)
    assert (caught.value.kind, caught.value.key) == ("thread", "t")


async def test_each_append_of_a_batch_has_its_delta(told: Store) -> None:
    async with told.batch() as step:
        step.threads.append("t", says("x"))
        step.threads.append("t", says("y"))
    deltas = await told.threads.deltas("t", 3)
    assert deltas is not None
    assert [delta.changes for delta in deltas] == [says("x"), says("y")]


@pytest.mark.parametrize("first", ["create", "save"])
async def test_appends_in_the_batch_that_made_the_thread_have_their_deltas(
    store: Store, first: str
) -> None:
    async with store.batch() as step:
        getattr(step.threads, first)(Thread(id="t"))
        step.threads.append("t", says("x"))
    await store.threads.append("t", says("y"))
    deltas = await store.threads.deltas("t", 0)
    assert deltas is not None
    assert [delta.changes for delta in deltas] == [says("x"), says("y")]


async def test_an_append_that_fails_leaves_no_delta(told: Store) -> None:
    with pytest.raises(VersionConflict):
        await told.threads.append("t", says("x"), expected=0)
    assert await told.threads.deltas("t", 3) == ()


async def test_a_skipped_message_is_in_the_delta_as_it_was_given(told: Store) -> None:
    again = ThreadChangeSet(messages=(said("again", "m"),))
    await told.threads.append("t", again)
    deltas = await told.threads.deltas("t", 3)
    assert deltas is not None
    assert [delta.changes for delta in deltas] == [again]


async def test_a_durable_store_knows_its_deltas_after_it_was_reopened(
    told: Store, store_url: str, clock: ManualClock
) -> None:
    before = await told.threads.deltas("t", 0)
    if told.capabilities.durable:
        await told.close()
        async with open_store(store_url, clock=clock) as again:
            assert await again.threads.deltas("t", 0) == before
    assert before is not None
