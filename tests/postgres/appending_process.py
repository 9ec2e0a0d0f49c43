"""Appends to many threads at a time, and prints each append that was acknowledged, until killed.

python -m tests.postgres.appending_process URL
"""

import asyncio
import sys

from treadle import Message, Thread, ThreadChangeSet, open_store

THREADS = 64


async def main(url: str) -> None:
    async with open_store(url) as store:
        await asyncio.gather(*(store.threads.ensure(Thread(id=f"t{n}")) for n in range(THREADS)))

        async def append(name: str) -> None:
            for number in range(1_000_000):
                message = Message.user(str(number))
                await store.threads.append(name, ThreadChangeSet(messages=(message,)))
                print(name, number, flush=True)

        await asyncio.gather(*(append(f"t{number}") for number in range(THREADS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
