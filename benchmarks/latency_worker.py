"""`python -m benchmarks.latency_worker URL`: a worker that says when handlers begin and end.

It writes lines `begun MAILBOX TIME` and `cancelled MAILBOX TIME`, until its standard input ends.
The times are those of a clock that all processes of a machine share, in seconds.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

import treadle
from treadle.worker import AsyncHandler, Delivery, Worker

Say: TypeAlias = Callable[[str, str, float], object]


def endless(say: Say) -> AsyncHandler:
    """Return a handler that says when it begins, and when it is cancelled."""

    async def handle(delivery: Delivery) -> None:
        mailbox_id = delivery.entry.mailbox_id
        say("begun", mailbox_id, time.monotonic())
        try:
            await asyncio.Event().wait()
        finally:
            say("cancelled", mailbox_id, time.monotonic())

    return handle


async def main(url: str) -> None:
    """Work until the standard input ends."""

    def say(what: str, mailbox_id: str, at: float) -> None:
        print(what, mailbox_id, at, flush=True)

    async with treadle.open_store(url) as store:
        worker = Worker(store, endless(say))
        working = asyncio.create_task(worker.run())
        print("ready", "-", time.monotonic(), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.stop()
        await working


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
