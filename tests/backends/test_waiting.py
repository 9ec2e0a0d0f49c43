"""Waiting: nothing that is written between a look and the sleep after it is missed."""

import asyncio

from treadle.backends.waiting import Waiting


async def test_what_is_written_while_somebody_looks_ends_the_sleep_after_it() -> None:
    written = 0

    async def time_left() -> int | None:
        nonlocal written
        if written == 0:
            written += 1  # another process writes, just after we have looked
            return None
        return 0

    waiting = Waiting(lambda: written)
    await asyncio.wait_for(waiting.until_due(60_000, time_left), 5)
    assert written == 1
