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
        self.made.launch()

    async def end(self) -> None:
        self.made.destroy()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        await self.made.register_queue_async(
            "q", worker_concurrency=CONCURRENCY, polling_interval_sec=0.01
        )
        self.payloads = payloads

    async def drain(self, batch: int) -> None:
        """It begins with the first workflow that is enqueued: the enqueueing is in the time."""
        for payload in self.payloads:
            await self.made.enqueue_workflow_async("q", self.workflow, payload)
        left = "select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING')"
        while len(self.handled) < len(self.payloads) or self.ask(left):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def how(self) -> str:
        return f"worker_concurrency={CONCURRENCY}; enqueued while it drains"
