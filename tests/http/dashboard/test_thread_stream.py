"""The events by which an open page follows a thread."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.http.dashboard.browser.serving import served
from treadle import Message, Thread
from treadle import http as treadle_http
from treadle.store.store import Store


@asynccontextmanager
async def following(
    store: Store, **options: Any
) -> AsyncGenerator[AsyncGenerator[tuple[str, Any]]]:
    """Follow the thread `t`: the kinds of its events, with their data."""
    everyone = treadle_http.everyone(treadle_http.viewer("v"))
    dashboard = treadle_http.dashboard(store, authenticate=everyone, **options)
    async with served(dashboard) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:
        async with client.stream("GET", "/threads/t/stream") as answer:
            assert answer.status_code == 200
            async with aclosing(events(answer)) as found:
                yield found
        dashboard.streams.end()


async def events(answer: httpx.Response) -> AsyncGenerator[tuple[str, Any]]:
    kind = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


@pytest.fixture(autouse=True)
async def thread(store: Store) -> None:
    await store.threads.create(Thread(id="t"))


async def test_a_page_hears_of_commits_and_of_what_is_being_written(store: Store) -> None:
    async with following(store) as found:
        assert await anext(found) == ("news", {})
        async with asyncio.timeout(10):
            message = store.live.message("t", "m")
            await message.text("Hel")
            _, piece = await next_of(found, "piece")
            assert (piece["message_id"], piece["delta"], piece["number"]) == ("m", "Hel", 0)
            await store.live.publish("t", {"something": "else"})
            await store.threads.append("t", Message.assistant("Hello", id="m"))
            assert await anext(found) == ("news", {})


async def next_of(found: AsyncGenerator[tuple[str, Any]], kind: str) -> tuple[str, Any]:
    while True:
        event = await anext(found)
        if event[0] == kind:
            return event


async def test_pieces_that_no_hook_can_judge_are_not_sent(store: Store) -> None:
    async with following(store, redact=lambda kind, value: value) as found:
        assert await anext(found) == ("news", {})
        await store.live.message("t", "m").text("my pass")
        await store.threads.append("t", Message.assistant("my password", id="m"))
        assert await anext(found) == ("news", {})
