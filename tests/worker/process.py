"""A worker in a process of its own: `python -m tests.worker.process FOLDER NAME [PAUSE_MS]`.

It says `claimed ENTRY_ID` on a line of its own as it begins an entry, adds one message per entry to
the mailbox's thread, and ends once there is nothing left to do, or at SIGTERM.
"""

import asyncio
import sys

from tests.worker.support import says

import treadle
from treadle.worker import Delivery, Worker


async def main(folder: str, name: str, pause_ms: str = "3") -> None:
    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        print("claimed", entry.entry_id, flush=True)
        async with delivery.batch(settle=False) as step:
            step.runs.upsert(treadle.RunRecord(run_id=entry.entry_id, thread_id=entry.mailbox_id))
        await asyncio.sleep(int(pause_ms) / 1000)
        async with delivery.batch() as step:
            step.threads.append(entry.mailbox_id, says(str(entry.payload)))

    async with treadle.open_store(folder) as store:
        worker = Worker(store, handler, concurrency=4, lease_ms=600, consumer=name, grace_ms=0)
        await worker.run(until_idle=True, handle_signals=True)
    print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
