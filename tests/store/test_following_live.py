"""Following a thread with its live values: one loop for the tokens and the messages."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import assert_type

import pytest

from tests.marks import every_backend
from treadle import (
    FollowedItem,
    InvalidId,
    InvalidValue,
    LiveItem,
    LiveValue,
    Message,
    NotFound,
    RunEnded,
    RunMeta,
    RunRecord,
    RunRequest,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadDeleted,
    ThreadDelta,
    ThreadReset,
    open_store,
)
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.limits import PAGE
from treadle.core.runs import RunStatus
from treadle.core.shown_runs import MOST_SHOWN, ShownRuns
from treadle.testing._harness.listening import listening

Item = LiveItem


def shown(items: Sequence[Item]) -> list[object]:
    """The live values, and the versions of the deltas."""
    found: list[object] = []
    for item in items:
        match item:
            case LiveValue():
                found.append(item.value)
            case ThreadDelta():
                found.append(item.version)
            case RunEnded():
                found.append((item.run_id, item.status, item.termination_code))
            case ThreadReset() | ThreadDeleted():
                found.append(type(item))
    return found


async def say(store: Store, text: str) -> None:
    await store.threads.append("t", Message.user(text))


@every_backend
async def test_live_values_come_between_the_deltas(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one")
    async with listening(store.threads.follow("t", 0, live=True)) as follower:
        await follower.until(lambda items: len(items) == 1)
        await store.live.publish("t", "to")
        await store.live.publish("t", "kens")
        await follower.until(lambda items: len(items) == 3)
        await say(store, "two")
        await follower.until(lambda items: len(items) == 4)
        await store.live.publish("t", None)
        await follower.until(lambda items: len(items) == 5)
        await store.threads.save(Thread(id="t"))
        await follower.until(lambda items: len(items) == 6)
        await store.threads.delete("t")
        await follower.until_end()
    assert shown(follower.items) == [1, "to", "kens", 2, None, ThreadReset, ThreadDeleted]


async def show(store: Store, run_id: str) -> None:
    await store.live.message("t", f"m-{run_id}", run_id=run_id).text("to")


@every_backend
@pytest.mark.parametrize("has_record", [True, False], ids=["record", "no-record"])
@pytest.mark.parametrize("how", ["superseded", "cancelled", "dead_letter"])
async def test_the_end_of_a_turn_that_wrote_nothing_comes(
    store: Store, how: str, has_record: bool
) -> None:
    request = RunRequest(agent_id="a", thread_id="t", run_id="r1")
    await store.runs.request(request, Message.user("hi"))
    async with listening(store.threads.follow("t", 0, live=True)) as follower:
        await follower.until(lambda items: len(items) == 1)  # live values come by now, too
        follower.items.clear()
        [held] = await store.mailboxes.claim(consumer="w")
        if has_record:
            record = RunRecord(run_id="r1", thread_id="t", source_mailbox_entry_id="r1")
            await store.runs.upsert(record)
        await show(store, "r1")
        await follower.until(lambda items: len(items) == 1)
        await store.threads.update("t", metadata={"title": "no end"})
        assert len(await follower.until_quiet()) == 1
        if how == "superseded":
            await store.mailboxes.interrupt("t")
        elif how == "cancelled":
            await store.mailboxes.cancel("r1")
        else:
            await store.mailboxes.dead_letter(held, error="no")
        # without a record, only the mailbox has changed
        await store.threads.update("t", metadata={"title": "ended"})
        await follower.until(lambda items: len(items) == 1)
        await store.threads.update("t", metadata={"title": "once"})
        items = await follower.until_quiet()
    assert shown(items) == [("r1", "done", how)]


@every_backend
async def test_an_end_comes_behind_the_delta_that_says_it(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one")
    statuses: tuple[RunStatus, ...] = ("running", "waiting", "running", "done")
    async with listening(store.threads.follow("t", 0, live=True)) as follower:
        await follower.until(lambda items: len(items) == 1)  # live values come by now, too
        follower.items.clear()
        for status in statuses:
            meta = RunMeta(agent_id="a", status=status)
            await store.threads.append("t", ThreadChangeSet(run_id="r1", run_meta=meta))
        await follower.until(lambda items: len(items) == 6)
        await show(store, "r2")
        await follower.until(lambda items: len(items) == 7)
        await store.runs.upsert(RunRecord(run_id="r2", thread_id="other", status="done"))
        await say(store, "not the end")
        await follower.until(lambda items: len(items) == 8)
    ends = [("r1", "waiting", None), ("r1", "done", None)]
    found = shown(follower.items)
    assert [*found[:6], found[7]] == [2, 3, ends[0], 4, 5, ends[1], 6]


@every_backend
async def test_an_end_comes_behind_all_pages_of_deltas(store: Store) -> None:
    count = 2 * PAGE + 1
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        meta = RunMeta(agent_id="a", status="running")
        step.threads.append("t", ThreadChangeSet(run_id="r1", run_meta=meta))
        for _ in range(count - 1):
            step.threads.append("t", Message.user("more"))
        step.runs.upsert(RunRecord(run_id="r1", thread_id="t", status="done"))
    async with listening(store.threads.follow("t", 0, live=True)) as follower:
        await follower.until(lambda items: len(items) == count + 1)
    assert shown(follower.items) == [*range(1, count + 1), ("r1", "done", None)]


async def test_a_follower_that_shows_nothing_reads_no_runs() -> None:
    runs = ShownRuns("t")
    assert runs.queries() == ()
    for number in range(MOST_SHOWN + 1):
        runs.note_live({"message_id": "m", "run_id": f"r{number}", "number": 0, "delta": ""})
    runs.note_live({"message_id": "m", "run_id": "no/id", "number": 0, "delta": ""})
    runs.note_live("no piece")
    assert len(runs) == MOST_SHOWN


async def test_a_piece_comes_before_its_message_if_both_are_there() -> None:
    async with Store(MemoryBackend()) as store:
        await store.threads.create(Thread(id="t"))
        async with listening(store.threads.follow("t", live=True)) as follower:
            await store.live.publish("other", "not ours")
            while not follower.items:
                await store.live.publish("t", "heard?")
                await asyncio.sleep(0)
            await follower.until_quiet()
            for number in range(5):
                await store.live.publish("t", f"piece {number}")
                await say(store, "message")
            await follower.until(lambda items: len(items) == 10)
    pieces = [item.value for item in follower.items if isinstance(item, LiveValue)]
    assert pieces == [f"piece {number}" for number in range(5)]
    for number, piece in enumerate(pieces):
        assert shown(follower.items).index(piece) < shown(follower.items).index(number + 1)


@every_backend
async def test_nothing_is_left_of_a_follower_that_stops(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await say(store, "one")
    before = asyncio.all_tasks()
    items = store.threads.follow("t", 0, live=True)
    assert shown([await anext(items)]) == [1]
    await items.aclose()
    assert asyncio.all_tasks() <= before
    await store.live.publish("t", "nobody")


@every_backend
async def test_it_ends_when_the_store_is_closed(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.threads.create(Thread(id="t"))
        await say(store, "one")
        async with listening(store.threads.follow("t", 0, live=True)) as follower:
            await follower.until(lambda items: len(items) == 1)
            await store.close()
            await follower.until_end()


@every_backend
async def test_a_thread_that_does_not_exist_is_not_followed(store: Store) -> None:
    for after_version in (0, None):
        with pytest.raises(NotFound):
            await anext(store.threads.follow("t", after_version, live=True))


async def test_arguments_are_checked_at_once(store: Store) -> None:
    with pytest.raises(InvalidId):
        store.threads.follow("a/b", 0, live=True)
    with pytest.raises(InvalidValue, match=r"follow\.live: it must be a bool, not a str"):
        store.threads.follow("t", 0, live="yes")  # type: ignore[call-overload]


def test_types_tell_whether_live_values_come() -> None:
    threads, either = open_store("memory:").threads, bool(1)
    assert_type(threads.follow("t"), AsyncGenerator[FollowedItem, None])
    assert_type(threads.follow("t", 0, live=False), AsyncGenerator[FollowedItem, None])
    assert_type(threads.follow("t", live=True), AsyncGenerator[LiveItem, None])
    assert_type(threads.follow("t", live=either), AsyncGenerator[LiveItem, None])
