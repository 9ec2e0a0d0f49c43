"""Silent streams look at their threads together, and what harms one of them harms no other."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.http.streams_in_process import streaming
from tests.http.test_streams import app_of, until_listening
from treadle import Message, Store, Thread
from treadle.core.hints import ANYTHING, Hint
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import CorruptRecord
from treadle.http import user
from treadle.http._thread_checks import ThreadChecks

THREADS = [f"t{number}" for number in range(450)]


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The threads of each read."""
    done: list[list[str]] = []
    read = store.read

    async def counted(*queries: Any) -> Any:
        done.append([query.thread_id for query in queries if isinstance(query, LoadThreadSummary)])
        return await read(*queries)

    monkeypatch.setattr(store, "read", counted)
    return done


async def test_streams_whose_turn_it_is_share_a_look(store: Store, reads: list[list[str]]) -> None:
    async with store.batch() as step:
        for thread_id in THREADS:
            step.threads.create(Thread(id=thread_id))
    checks = ThreadChecks(store)
    answers = await asyncio.gather(*(checks.is_at(each, 0, None) for each in THREADS * 2))
    assert all(answers)
    assert [len(each) for each in reads] == [200, 200, 50]
    assert sorted(itertools.chain(*reads)) == sorted(THREADS)
    assert await checks.is_at("t0", 0, None)
    assert reads[3:] == [["t0"]]


@pytest.mark.parametrize(
    ("version", "own", "same"),
    [(0, None, True), (0, "alice", True), (0, "bob", False), (1, "alice", False)],
)
async def test_a_thread_is_the_same_at_its_version_and_with_its_owner(
    store: Store, version: int, own: str | None, *, same: bool
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    assert await ThreadChecks(store).is_at("t", version, own) is same


async def test_a_thread_that_is_gone_is_not_the_same(store: Store) -> None:
    assert not await ThreadChecks(store).is_at("gone", 0, None)


async def test_a_thread_that_cannot_be_read_is_not_known_and_the_next_look_is_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.threads.create(Thread(id="t"))
    read, damaged = store.read, {"bad"}

    async def fail(*queries: Any) -> Any:
        if damaged & {query.thread_id for query in queries}:
            raise CorruptRecord("bad", "damaged")
        return await read(*queries)

    monkeypatch.setattr(store, "read", fail)
    checks = ThreadChecks(store)
    both = await asyncio.gather(checks.is_at("t", 0, None), checks.is_at("bad", 0, None))
    assert not any(both)
    assert await checks.is_at("t", 0, None)


async def test_a_stream_that_ends_leaves_the_look_to_the_others(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    checks = ThreadChecks(store)
    ending, staying = (asyncio.ensure_future(checks.is_at("t", 0, None)) for _ in range(2))
    await asyncio.sleep(0)
    ending.cancel()
    assert await staying
    assert ending.cancelled()


async def test_a_look_that_was_cancelled_before_it_began_does_not_stay(store: Store) -> None:
    """As when an event loop ends, and the application goes on with another one."""
    await store.threads.create(Thread(id="t"))
    checks = ThreadChecks(store)
    others = asyncio.all_tasks()
    waiting = checks.is_at("t", 0, None)
    waiting.send(None)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    waiting.close()
    await asyncio.sleep(0)
    assert await checks.is_at("t", 0, None)


async def no_hints(**wanted: str) -> AsyncGenerator[Hint]:
    await asyncio.Event().wait()
    yield ANYTHING


@pytest.mark.parametrize("what", ["message", "owner", "deleted"])
async def test_a_silent_stream_notices_what_no_hint_has_said(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    monkeypatch.setattr(store, "changes", no_hints)
    app = app_of(store, user("alice"), heartbeat_seconds=0.05)
    async with streaming(app, "/v1/threads/t/events") as stream:
        await until_listening(stream)
        await stream.until(lambda stream: stream.body.count(b":") > 5)
        match what:
            case "message":
                await store.threads.append("t", Message.user("hello"))
            case "owner":
                await store.threads.update("t", resource_id="bob")
            case _:
                await store.threads.delete("t")
        [event] = await stream.until_events(1)
    assert event.kind == ("delta" if what == "message" else "deleted")
