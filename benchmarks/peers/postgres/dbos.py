"""DBOS: a queue of workflows, 32 at a time, polled every 10 ms (its default is a second)."""

import asyncio
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.postgres.base import DrainSubject

CONCURRENCY = 32


class DbosQueue(DrainSubject):
    """Empty workflows, enqueued before a process listens to the queue."""

    name = "DBOS"
    distribution = "dbos"
    slow = True

    async def begin(self) -> None:
        self.launch(listens=False)

    def launch(self, *, listens: bool) -> None:
        """Start DBOS, which listens to all queues or to none."""
        self.dbos: Any = import_module("dbos").DBOS
        self.dbos(
            config={
                "name": "bench",
                "system_database_url": self.address.uri(),
                "executor_id": f"e{os.getpid()}",
                "application_version": "1",
                "log_level": "ERROR",
            }
        )

        @self.dbos.workflow(name="noop")  # type: ignore[untyped-decorator]
        async def noop(payload: str) -> None:
            self.handled.append(payload)

        self.workflow: Any = noop
        if not listens:
            self.dbos.listen_queues([])
        self.dbos.launch()

    async def end(self) -> None:
        self.dbos.destroy()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        await self.register()
        for payload in payloads:
            await self.dbos.enqueue_workflow_async("q", self.workflow, payload)
        self.total = len(payloads)

    async def register(self) -> None:
        """Set how the queue is worked."""
        await self.dbos.register_queue_async(
            "q", worker_concurrency=CONCURRENCY, polling_interval_sec=0.01
        )

    async def drain(self, batch: int) -> None:
        """Restart it: a running instance cannot begin to listen."""
        self.dbos.destroy()
        self.launch(listens=True)
        await self.register()
        left = "select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')"
        while len(self.handled) < self.total or self.ask(left):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def how(self) -> str:
        return f"worker_concurrency={CONCURRENCY}; its start is included in the time"
