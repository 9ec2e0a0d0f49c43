"""procrastinate: its worker, with 32 jobs at a time and a pool of 20."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.postgres.base import DrainSubject

CONCURRENCY = 32


class ProcrastinateQueue(DrainSubject):
    """`run_worker_async`, until the queue is empty."""

    name = "procrastinate"
    distribution = "procrastinate"
    slow = True

    async def begin(self) -> None:
        package = import_module("procrastinate")
        connector = package.PsycopgConnector(conninfo=self.address.uri(), min_size=4, max_size=20)
        self.app: Any = package.App(connector=connector)

        @self.app.task(name="noop", queue="q")  # type: ignore[untyped-decorator]
        async def noop(payload: str) -> None:
            self.handled.append(payload)

        self.task: Any = noop
        await self.app.open_async()
        await self.app.schema_manager.apply_schema_async()

    async def end(self) -> None:
        await self.app.close_async()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        for start in range(0, len(payloads), 1_000):
            jobs = [{"payload": payload} for payload in payloads[start : start + 1_000]]
            await self.task.batch_defer_async(*jobs)

    async def drain(self, batch: int) -> None:
        await self.app.run_worker_async(
            queues=["q"], concurrency=CONCURRENCY, wait=False, install_signal_handlers=False
        )

    def how(self) -> str:
        return f"run_worker_async(concurrency={CONCURRENCY}, wait=False)"
