"""Deltas in pages and in streams: each once, and no more are read than are shown."""

from typing import Any

import httpx
import pytest

from tests.http.conftest import Connect
from tests.http.streams_in_process import streaming
from treadle import Message, Thread
from treadle import http as treadle_http
from treadle.core.limits import PAGE
from treadle.core.thread_queries import ListDeltas
from treadle.store.store import Store

COUNT = 2 * PAGE + 50


@pytest.fixture
def longest(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The most deltas that each answer of the store has."""
    read, found = store.read, list[int]()

    async def counting(*queries: Any) -> Any:
        answers = await read(*queries)
        found.extend(
            len(answer or ())
            for query, answer in zip(queries, answers, strict=True)
            if isinstance(query, ListDeltas)
        )
        return answers

    monkeypatch.setattr(store, "read", counting)
    return found


async def write(store: Store, count: int = COUNT) -> None:
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        for number in range(count):
            step.threads.append("t", Message.user(str(number)))


async def test_pages_have_each_delta_once(
    store: Store, admin: httpx.AsyncClient, longest: list[int]
) -> None:
    await write(store)
    versions: list[int] = []
    has_more = True
    while has_more:
        after = versions[-1] if versions else 0
        page = (await admin.get(f"/v1/threads/t/deltas?after={after}&limit=200")).json()
        versions += [each["version"] for each in page["items"]]
        has_more = page["has_more"]
    assert versions == list(range(1, COUNT + 1))
    assert longest == [PAGE, PAGE, COUNT - 2 * PAGE]


@pytest.mark.parametrize(("after", "has_more"), [(0, True), (1, False), (3, False)])
async def test_a_page_says_whether_more_follow(
    store: Store, admin: httpx.AsyncClient, after: int, has_more: bool
) -> None:
    await write(store, 3)
    page = (await admin.get(f"/v1/threads/t/deltas?after={after}&limit=2")).json()
    assert page["has_more"] is has_more


async def test_a_stream_reads_what_a_client_has_missed_in_pages(
    store: Store, longest: list[int]
) -> None:
    await write(store)
    app = treadle_http.app(
        store, authenticate=treadle_http.everyone(treadle_http.admin("ops")), hosts=["*"]
    )
    async with streaming(app, "/v1/threads/t/events?after=0") as stream:
        events = await stream.until_events(COUNT)
    assert [each.data["version"] for each in events] == list(range(1, COUNT + 1))
    assert max(longest) == PAGE


async def test_an_old_page_of_the_dashboard_reads_no_newer_deltas(
    store: Store, longest: list[int], connect: Connect
) -> None:
    await write(store)
    dashboard = treadle_http.dashboard(
        store, authenticate=treadle_http.everyone(treadle_http.admin("ops"))
    )
    transport = httpx.ASGITransport(dashboard)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/threads/t/deltas?before=100")
    assert page.status_code == 200
    assert max(longest) == 25
