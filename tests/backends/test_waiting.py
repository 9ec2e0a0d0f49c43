"""Waiting: a write between a look and the sleep after it is not missed."""

import asyncio

from treadle.backends._waiting import Waiting


async def test_a_write_while_a_caller_looks_ends_the_sleep_after_it() -> None:
    position = 0

    async def time_left() -> int | None:
        nonlocal position
        if position == 0:
            position += 1  # another process writes, just after we have looked
            return None
        return 0

    waiting = Waiting(lambda: position)
    await asyncio.wait_for(waiting.until_due(60_000, time_left), 5)
    assert position == 1
