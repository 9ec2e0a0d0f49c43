"""A process that forks while it writes to a store, holding its locks, and is killed at once.

Its child lives on, as a program that a server has started would, and prints its process id.
"""

import asyncio
import os
import signal
import sys
import time

from treadle import Thread, open_store
from treadle.clock import system_clock


class ForkingClock:
    """Is asked for the time while a write holds the store's locks; forks there, once."""

    is_armed = False

    def __call__(self) -> int:
        if self.is_armed:
            child = os.fork()
            if child:
                os.kill(os.getpid(), signal.SIGKILL)
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
        return system_clock()


async def main(url: str) -> None:
    clock = ForkingClock()
    async with open_store(url, clock=clock, migrate=True) as store:
        await store.threads.create(Thread(id="acknowledged"))
        await store.threads.list()
        await asyncio.sleep(0.2)  # PostgreSQL: another connection, for notices, is made meanwhile
        clock.is_armed = True
        await store.threads.create(Thread(id="never"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
