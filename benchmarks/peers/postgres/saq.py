"""SAQ: its PostgreSQL queue, and a worker with 32 jobs at a time."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.postgres.base import DrainSubject

CONCURRENCY = 32


class SaqQueue(DrainSubject):
    """A `Worker`, stopped when the queue is empty."""

    name = "SAQ"
    distribution = "saq"
    slow = True

    async def begin(self) -> None:
        pool = import_module("psycopg_pool").AsyncConnectionPool
        self.pool: Any = pool(self.address.uri(), min_size=4, max_size=20, open=False)
        await self.pool.open()
        queue = import_module("saq.queue.postgres").PostgresQueue
        self.queue: Any = queue(pool=self.pool, min_size=4, max_size=20)
        await self.queue.connect()

    async def end(self) -> None:
        await self.queue.disconnect()
        await self.pool.close()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        for start in range(0, len(payloads), 100):
            some = payloads[start : start + 100]
            await asyncio.gather(
                *(self.queue.enqueue("noop", timeout=0, payload=payload) for payload in some)
            )
        self.total = len(payloads)

    async def drain(self, batch: int) -> None:
        async def noop(context: object, *, payload: str) -> None:
            self.handled.append(payload)

        worker = import_module("saq").Worker(
            self.queue, functions=[("noop", noop)], concurrency=CONCURRENCY
        )
        running = asyncio.ensure_future(worker.start())
        left = "select count(*) from saq_jobs where status in ('queued', 'active')"
        while len(self.handled) < self.total or self.ask(left):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await worker.stop()
        running.cancel()

    def how(self) -> str:
        return f"Worker(concurrency={CONCURRENCY})"
