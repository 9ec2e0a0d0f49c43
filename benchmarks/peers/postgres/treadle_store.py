"""Treadle on PostgreSQL: a schema in the subject's database."""

import asyncio
from collections.abc import Sequence

import treadle
from benchmarks.peers.postgres.base import DrainSubject, PostgresSubject
from benchmarks.peers.treadle_store import (
    TreadleDocuments,
    TreadleHeads,
    TreadleThreads,
    send_all,
)
from treadle.worker import Delivery, Worker

LOOPS = 4
"""How many loops claim and settle in the process."""
TASKS = 32
"""How many loops work one entry each, without batches."""


class _Treadle(PostgresSubject):
    name = "treadle (postgresql)"
    distribution = "treadle"

    @classmethod
    def version(cls) -> str:
        return ""

    async def begin(self) -> None:
        await self.connect()

    async def end(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Open the store."""
        self.opened = await treadle.open_store(self.url(), migrate=True).open()

    async def disconnect(self) -> None:
        """Close the store."""
        await self.opened.close()

    def url(self) -> str:
        """Return the URL of the store."""
        return self.address.uri(schema="treadle")


class TreadleThreadsOnPostgres(_Treadle, TreadleThreads):
    """`store.threads`."""


class TreadleHeadsOnPostgres(_Treadle, TreadleHeads):
    """`threads.head`, `threads.list_heads` and `threads.update`."""


class TreadleDocumentsOnPostgres(_Treadle, TreadleDocuments):
    """`store.documents`."""


class TreadleDrain(_Treadle, DrainSubject):
    """Loops that claim a batch, and settle it with one `store.batch()`."""

    batches = (1, 10, 100)

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        await send_all(self.opened, payloads, mailboxes)

    async def drain(self, batch: int) -> None:
        loops = TASKS if batch == 1 else LOOPS
        await asyncio.gather(*(self._loop(batch) for _ in range(loops)))

    async def _loop(self, batch: int) -> None:
        mailboxes = self.opened.mailboxes
        while True:
            entries = await mailboxes.claim(batch, consumer="bench")
            if not entries:
                if not (await mailboxes.count_entries()).queued:
                    return
                await mailboxes.wait(100)
            self.handled += [str(entry.payload) for entry in entries]
            async with self.opened.batch() as step:
                for entry in entries:
                    step.mailboxes.ack(entry)

    def how(self) -> str:
        return f"{LOOPS} loops: claim, one batch() of acks ({TASKS} loops for one by one)"


class TreadleInMailboxes(TreadleDrain):
    """The same, with a thousand mailboxes, of each of which one entry is claimed at a time."""

    name = "treadle (postgresql), 1,000 mailboxes"
    mailboxes = 1_000


class TreadleWorker(TreadleDrain):
    """`treadle.Worker`, with as many concurrent handlers as peers have entries in a batch."""

    name = "treadle (postgresql), Worker"

    async def drain(self, batch: int) -> None:
        worker = Worker(self.opened, self._handle, concurrency=TASKS if batch == 1 else batch)
        await worker.run(until_idle=True)

    async def _handle(self, delivery: Delivery) -> None:
        self.handled.append(str(delivery.entry.payload))

    def how(self) -> str:
        return f"Worker(concurrency=the batch; {TASKS} for one by one)"
