"""litequeue: `LiteQueue`, an object and its connection for each operating system thread."""

import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import BlockingQueueSubject, sqlite_durability


class LiteQueue(BlockingQueueSubject):
    """`pop` and `done`, with its default synchronous=NORMAL: a power failure may lose commits."""

    name = "litequeue"
    distribution = "litequeue"
    after_crash = "stays locked until list_locked() and retry() by hand"
    synchronous = "NORMAL"

    async def open(self) -> None:
        self.database = self.folder / "queue.db"
        self.make = import_module("litequeue").LiteQueue
        self.own = threading.local()
        self.opened: list[Any] = []
        self._queue()

    async def close(self) -> None:
        for queue in self.opened:
            queue.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, self.synchronous)

    async def fill(self, payloads: Sequence[str]) -> None:
        queue = self._queue()
        with queue.transaction():
            for payload in payloads:
                queue.put(payload)

    def claim_now(self) -> Any:
        return self._queue().pop()

    def ack_now(self, job: Any) -> None:
        self._queue().done(job.message_id)

    def payload(self, job: Any) -> str:
        return str(job.data)

    def _queue(self) -> Any:
        # two threads cannot begin transactions on one connection
        if not hasattr(self.own, "queue"):
            self.own.queue = self.make(self.database)
            self.own.queue.conn.execute(f"pragma synchronous = {self.synchronous}")
            self.opened.append(self.own.queue)
        return self.own.queue


class LiteQueueFull(LiteQueue):
    """The same, with a sync for each commit, as in the other subjects."""

    name = "litequeue, made durable"
    synchronous = "FULL"
