"""A process that reads the last number of a session, and appends the next, 50 times.

The number is in the batch only if nobody has written since it was read; else it tries again.
"""

import asyncio
import sys

import treadle
from treadle import VersionConflict
from treadle.integrations.openai_agents import TreadleSession

TIMES = 50


async def count(store: treadle.Store) -> None:
    """Append the next number."""
    while True:
        head = await store.threads.summary("count")
        version = 0 if head is None else head.version
        last = await TreadleSession("count", store).get_items(limit=1)
        number = int(str(last[0].get("content"))) + 1 if last else 1
        try:
            async with store.batch() as step:
                step.threads.check("count", expected=version)
                session = TreadleSession("count", store, step=step)
                await session.add_items([{"role": "user", "content": str(number)}])
        except VersionConflict:
            continue
        return


async def main(url: str, name: str) -> None:
    """Count, and say by itself how often, in a session of this process."""
    async with treadle.open_store(url) as store:
        for number in range(TIMES):
            await count(store)
            await TreadleSession("shared", store).add_items(
                [{"role": "user", "content": f"{name}-{number}"}]
            )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
