"""A state whose patches take long keeps nobody else waiting, and its thread can be repaired."""

import asyncio
from collections.abc import Generator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.http.clients_in_process import client
from treadle import Message, Store, Thread, patches
from treadle import http as treadle_http
from treadle.core import patching
from treadle.core.threads import state_in_slices
from treadle.http import _rebuilding
from treadle.http._rebuilding import Rebuilding
from treadle.testing._harness.builders import tracked

SIZE = 10_000


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "SLICE", 100)


@pytest.fixture
def pages(store: Store) -> httpx.AsyncClient:
    """A client of the dashboard."""
    admin = treadle_http.everyone(treadle_http.admin("ops"))
    return client(treadle_http.dashboard(store, authenticate=admin))


async def create(store: Store, removals: int = 1, **more: Any) -> Thread:
    """Create a thread with patches that search a list, each time in vain."""
    ops = (patches.Remove(("list",), -1),) * removals
    state = {"list": list(range(SIZE))}
    thread = Thread(id="t", state=state, patches=(tracked(*ops),), **more)
    await store.threads.create(thread)
    return thread


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads of the slices that were done."""
    done: list[str] = []

    def counted(thread: Thread) -> Generator[None, None, Any]:
        work = state_in_slices(thread)
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value
            done.append(thread.id)
            yield

    monkeypatch.setattr(_rebuilding, "state_in_slices", counted)
    return done


async def rounds_of(work: Any, slices: list[str]) -> list[int]:
    """How many slices were done between the rounds of the event loop, until the work ends."""
    task = asyncio.ensure_future(work)
    seen: list[int] = []
    while not task.done():
        seen.append(len(slices))
        await asyncio.sleep(0)
    await task
    return [after - before for before, after in pairwise(seen)]


@pytest.mark.usefixtures("small_slices")
async def test_the_event_loop_goes_on_while_a_state_is_rebuilt(
    store: Store, admin: httpx.AsyncClient, pages: httpx.AsyncClient, slices: list[str]
) -> None:
    await create(store)
    for reader, path in ((admin, "/v1/threads/t"), (pages, "/threads/t/state")):
        assert len(await rounds_of(reader.get(path), slices)) >= SIZE // 100


@pytest.mark.usefixtures("small_slices")
async def test_many_states_take_turns(store: Store, slices: list[str]) -> None:
    thread, rebuilding = await create(store), Rebuilding()
    work = asyncio.gather(*(rebuilding.state_of(thread) for _ in range(20)))
    rounds = await rounds_of(work, slices)
    assert sum(rounds) >= 20 * (SIZE // 100 - 1)
    assert [each for each in rounds if each > 1] == [20]  # each begins at once


async def test_a_state_that_takes_little_work_waits_for_no_turn(store: Store) -> None:
    thread, rebuilding = await create(store), Rebuilding()
    await rebuilding._turn.acquire()
    assert await rebuilding.state_of(thread) == thread.state


@pytest.mark.usefixtures("small_slices")
async def test_a_rebuild_that_is_given_up_leaves_its_turn_to_others(store: Store) -> None:
    thread, rebuilding = await create(store), Rebuilding()
    given_up = asyncio.ensure_future(rebuilding.state_of(thread))
    other = asyncio.ensure_future(rebuilding.state_of(thread))
    for _ in range(5):
        await asyncio.sleep(0)
    given_up.cancel()
    assert await other == thread.state
    assert given_up.cancelled()


async def test_a_thread_whose_patches_take_too_much_work_is_read_and_repaired(
    store: Store,
    admin: httpx.AsyncClient,
    pages: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patching, "PATCH_WORK", 5 * SIZE)
    thread = await create(store, removals=6, messages=(Message.user("hi"),))
    shown = (await admin.get("/v1/threads/t")).json()
    assert shown["state"] == thread.state
    assert "the patches search and move too much" in shown["state_error"]
    assert "appends a ThreadChangeSet(snapshot=...)" in shown["state_error"]
    page = await pages.get("/threads/t/state")
    assert "The patches cannot be applied" in page.text
    messages = (await admin.get("/v1/threads/t/messages")).json()["messages"]
    assert [each["content"] for each in messages] == ["hi"]
    assert (await pages.get("/threads/t")).status_code == 200
    repaired = await admin.post("/v1/threads/t/changes", json={"snapshot": thread.state})
    assert repaired.status_code == 200, repaired.text
    shown = (await admin.get("/v1/threads/t")).json()
    assert (shown["state"], "state_error" in shown) == (thread.state, False)


async def test_a_path_that_is_too_long_is_refused(store: Store, admin: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="t"))
    op = {"op": "delete", "path": ["a"] * 101}
    answer = await admin.post("/v1/threads/t/changes", json={"patches": [{"patch": {"ops": [op]}}]})
    assert answer.status_code == 400
    assert answer.json()["where"] == "appendThread.changes.patches[0].patch.ops[0].path"
    assert "it has 101 segments" in answer.json()["error"]
