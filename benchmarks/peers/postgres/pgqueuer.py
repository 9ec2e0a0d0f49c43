"""pgqueuer: its queue manager on asyncpg, in drain mode, on uvloop as its own command runs it."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.postgres.base import DrainSubject


class PgQueuerQueue(DrainSubject):
    """`QueueManager.run`, with its durable defaults."""

    name = "pgqueuer"
    distribution = "pgqueuer"
    uses_uvloop = True
    batches = (10, 100)

    async def begin(self) -> None:
        driver = import_module("pgqueuer.db").AsyncpgDriver
        connect = import_module("asyncpg").connect
        self.connections = [await connect(**self.address.for_asyncpg()) for _ in range(2)]
        self.queries: Any = import_module("pgqueuer.queries").Queries(driver(self.connections[0]))
        await self.queries.install()
        self.queue: Any = import_module("pgqueuer").PgQueuer(driver(self.connections[1]))

        @self.queue.entrypoint("noop")  # type: ignore[untyped-decorator]
        async def noop(job: Any) -> None:
            self.handled.append(job.payload.decode())

    async def end(self) -> None:
        for connection in self.connections:
            await connection.close()

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        for start in range(0, len(payloads), 1_000):
            some = [payload.encode() for payload in payloads[start : start + 1_000]]
            await self.queries.enqueue(["noop"] * len(some), some, [0] * len(some))

    async def drain(self, batch: int) -> None:
        mode = import_module("pgqueuer.domain.types").QueueExecutionMode.drain
        await self.queue.qm.run(batch_size=batch, mode=mode)

    def how(self) -> str:
        return "qm.run(batch_size=batch, mode=drain), one connection, uvloop"
