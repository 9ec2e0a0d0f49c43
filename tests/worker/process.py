"""A worker in a process of its own.

`python -m tests.worker.process STORE NAME PAUSE_MS TAKES LEASE_MS PREFIX`

It says `claimed ENTRY_ID` on a line of its own as it begins an entry, adds one message per entry to
the mailbox's thread, and ends once there is nothing left to do, or at SIGTERM. It begins with up to
TAKES entries of a mailbox at once, and takes as many again before it pauses. With a PREFIX that is
not empty, it works only mailboxes whose ids begin so.
"""

import asyncio
import sys

from tests.worker.support import says

import treadle
from treadle.worker import Delivery, Worker


async def main(
    folder: str, name: str, pause_ms: str, takes: str, lease_ms: str, prefix: str
) -> None:
    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        print("claimed", entry.entry_id, flush=True)
        async with delivery.batch(settle=False) as step:
            step.runs.upsert(treadle.RunRecord(run_id=entry.entry_id, thread_id=entry.mailbox_id))
        await delivery.take(int(takes) - 1)
        await asyncio.sleep(int(pause_ms) / 1000)
        async with delivery.batch() as step:
            for each in delivery.entries:
                step.threads.append(entry.mailbox_id, says(str(each.payload)))

    async with treadle.open_store(folder) as store:
        worker = Worker(
            store,
            handler,
            concurrency=4,
            coalesce=int(takes),
            lease_ms=int(lease_ms),
            consumer=name,
            mailbox_prefix=prefix or None,
            grace_ms=0,
        )
        await worker.run(until_idle=True, handle_signals=True)
    print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
