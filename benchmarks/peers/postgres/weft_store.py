"""Weft on PostgreSQL: a schema in the subject's database."""

import asyncio
from collections.abc import Sequence

import weft
from benchmarks.peers.postgres.base import DrainSubject, PostgresSubject
from benchmarks.peers.weft_store import WeftThreads, send_all
from weft.worker import Delivery, Worker

LOOPS = 4
"""How many claim and settle in one process."""
TASKS = 32
"""How many have one entry each in flight, where nothing is done in batches."""


class _Weft(PostgresSubject):
    name = "weft (postgresql)"
    distribution = "weft"

    @classmethod
    def version(cls) -> str:
        return ""

    async def begin(self) -> None:
        url = self.address.uri(schema="weft")
        self.opened = await weft.open_store(url, migrate=True).open()

    async def end(self) -> None:
        await self.opened.close()


class WeftThreadsOnPostgres(_Weft, WeftThreads):
    """`store.threads`."""


class WeftDrain(_Weft, DrainSubject):
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
                if not (await mailboxes.stats()).queued:
                    return
                await mailboxes.wait(100)
            self.handled += [str(entry.payload) for entry in entries]
            async with self.opened.batch() as step:
                for entry in entries:
                    step.mailboxes.ack(entry)

    def how(self) -> str:
        return f"{LOOPS} loops: claim, one batch() of acks ({TASKS} loops for one by one)"


class WeftInMailboxes(WeftDrain):
    """The same, with a thousand mailboxes: of each only one entry is in the work at a time."""

    name = "weft (postgresql), 1,000 mailboxes"
    mailboxes = 1_000


class WeftWorker(WeftDrain):
    """`weft.Worker`, of which as many handlers run as peers take in a batch."""

    name = "weft (postgresql), Worker"

    async def drain(self, batch: int) -> None:
        worker = Worker(self.opened, self._handle, concurrency=TASKS if batch == 1 else batch)
        await worker.run(until_idle=True)

    async def _handle(self, delivery: Delivery) -> None:
        self.handled.append(str(delivery.entry.payload))

    def how(self) -> str:
        return f"Worker(concurrency=the batch; {TASKS} for one by one)"
