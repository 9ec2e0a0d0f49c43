"""DBOS: a queue of workflows, 32 at a time, polled every 10 ms (its default is a second)."""

import asyncio
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.postgres.base import DrainSubject

CONCURRENCY = 32


class DbosQueue(DrainSubject):
    """Workflows that do nothing, enqueued before anybody listens."""

    name = "DBOS"
    distribution = "dbos"
    slow = True

    async def begin(self) -> None:
        self.launch(listens=False)

    def launch(self, *, listens: bool) -> None:
        """Begin anew; it listens to all queues, or to none."""
        self.made: Any = import_module("dbos").DBOS
        self.made(
            config={
                "name": "bench",
                "system_database_url": self.address.uri(),
                "executor_id": f"e{os.getpid()}",
                "application_version": "1",
                "log_level": "ERROR",
            }
        )

        @self.made.workflow(name="noop")  # type: ignore[untyped-decorator]
        async def noop(payload: str) -> None:
            self.handled.append(payload)

        self.workflow: Any = noop
        if not listens:
            self.made.listen_queues([])
        self.made.launch()

    async def end(self) -> None:
        self.made.destroy()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        await self.register()
        for payload in payloads:
            await self.made.enqueue_workflow_async("q", self.workflow, payload)
        self.total = len(payloads)

    async def register(self) -> None:
        """Tell how the queue is worked."""
        await self.made.register_queue_async(
            "q", worker_concurrency=CONCURRENCY, polling_interval_sec=0.01
        )

    async def drain(self, batch: int) -> None:
        """It is started for this: it cannot begin to listen later."""
        self.made.destroy()
        self.launch(listens=True)
        await self.register()
        left = "select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')"
        while len(self.handled) < self.total or self.ask(left):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def how(self) -> str:
        return f"worker_concurrency={CONCURRENCY}; its start is in the time"
