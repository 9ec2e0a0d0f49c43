"""A worker that answers conversations: `python -m tests.worker.conversation_process URL SEED`.

It takes more, waits, fails, asks for a pause, and is slow, at random. What it works is left in the
thread of the mailbox, in the order in which it was worked. It ends at SIGTERM.
"""

import asyncio
import logging
import random
import sys
import time

from tests.worker.support import says

import treadle
from treadle.worker import Backoff, Delivery, Worker

LEASE_MS = 500


async def main(url: str, seed: str) -> None:
    logging.disable()  # losing claims is what this is about
    chance = random.Random(seed)

    async def handler(delivery: Delivery) -> None:
        for _ in range(chance.randrange(3)):
            match chance.randrange(5):
                case 0:
                    await delivery.take(chance.randrange(1, 4))
                case 1:
                    await delivery.wait_for_more(chance.randrange(30))
                case 2:
                    raise ValueError("at random")
                case 3 if chance.random() < 0.3:
                    until = time.time_ns() // 1_000_000 + chance.randrange(100)
                    async with delivery.pause(until=until):
                        return
                case _:
                    await asyncio.sleep(chance.random() / 50)
        async with delivery.batch() as step:
            for entry in delivery.entries:
                step.threads.append(entry.mailbox_id, says(str(entry.payload)))

    async with treadle.open_store(url) as store:
        worker = Worker(
            store,
            handler,
            concurrency=3,
            coalesce=chance.choice([1, 3]),
            lease_ms=LEASE_MS,
            max_attempts=10_000,
            backoff=Backoff(base_ms=5, max_ms=50),
            grace_ms=0,
        )
        print("begun", flush=True)
        await worker.run(handle_signals=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
