"""Several sources as one: what is there at the same time comes in the order of the sources."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from treadle.store.merging import merged

LONG = 60.0


async def items_of(queue: "asyncio.Queue[str]") -> AsyncGenerator[str]:
    while True:
        yield await queue.get()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_earlier_source_comes_first_whichever_was_asked_last() -> None:
    first: asyncio.Queue[str] = asyncio.Queue()
    second: asyncio.Queue[str] = asyncio.Queue()
    async with aclosing(merged([items_of(first), items_of(second)], LONG)) as items:
        for queue in (first, second, first):
            queue.put_nowait("alone")
            assert await anext(items) == "alone"
            following = asyncio.ensure_future(anext(items))
            await settle()  # so that both sources are asked
            second.put_nowait("second")
            first.put_nowait("first")
            assert [await following, await anext(items)] == ["first", "second"]


async def test_signs_of_life_that_are_due_at_about_the_same_time_come_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that thousands of silent streams do not wake the event loop one by one."""
    loop = asyncio.get_running_loop()
    now = 100.05
    monkeypatch.setattr(loop, "time", lambda: now)
    due: list[float] = []
    at = loop.call_at

    def call_at(when: float, *given: Any, **named: Any) -> asyncio.TimerHandle:
        due.append(when)
        return at(when, *given, **named)

    monkeypatch.setattr(loop, "call_at", call_at)
    streams = []
    for _ in range(8):
        queue: asyncio.Queue[str] = asyncio.Queue()
        items = merged([items_of(queue)], 15.0)
        streams.append((items, asyncio.ensure_future(anext(items))))
        await settle()
        now += 0.02
    for items, asked in streams:
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await items.aclose()
    assert [round(when, 6) for when in due] == [115.0] * 8
