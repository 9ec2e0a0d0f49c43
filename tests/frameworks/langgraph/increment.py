"""Counts up in a LangGraph thread, beside other processes: read, increment, append."""

import asyncio
import sys
from typing import Any

from tests.frameworks.langgraph.graphs import put, thread
from treadle import open_store
from treadle.integrations.langgraph import StaleWriteOwner, TreadleSaver, TreadleStore

TIMES = 50


async def count_up(url: str, number: str) -> None:
    """Append to a list, so many times, each after what is there; again if others were faster."""
    async with open_store(url) as store:
        saver, items = TreadleSaver(store), TreadleStore(store)
        for time in range(TIMES):
            while not await append(saver, f"{number}:{time}"):
                pass
            await items.aput(("numbers", number), str(time), {"time": time})


async def append(saver: TreadleSaver, text: str) -> bool:
    """Append to the list; False if another process has claimed the thread since."""
    owner = await saver.aclaim_write_ownership("t")
    found = await owner.aget_tuple(thread())
    before: list[Any] = [] if found is None else found.checkpoint["channel_values"]["a"]
    config = thread() if found is None else found.config
    try:
        await put(owner, config, {"a": [*before, text], "count": len(before) + 1})
    except StaleWriteOwner:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(count_up(*sys.argv[1:]))
