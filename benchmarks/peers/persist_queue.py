"""persist-queue: `SQLiteAckQueue`, one object that all operating system threads share."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.peers.base import BlockingQueueSubject, sqlite_durability


class PersistQueue(BlockingQueueSubject):
    """`get` and `ack`, with the settings for several threads."""

    name = "persist-queue SQLiteAckQueue"
    distribution = "persist-queue"
    after_crash = "queued again when any process opens the file, others' work too"

    async def open(self) -> None:
        self.module = import_module("persistqueue")
        self.queue = self.module.SQLiteAckQueue(str(self.folder), multithreading=True)

    async def close(self) -> None:
        self.queue.close()

    def durability(self) -> str:
        return sqlite_durability(Path(self.queue.path) / self.queue.db_file_name)

    async def fill(self, payloads: Sequence[str]) -> None:
        for payload in payloads:
            self.queue.put(payload)

    def claim_now(self) -> Any:
        try:
            return self.queue.get(block=False, raw=True)
        except self.module.Empty:
            return None

    def ack_now(self, job: Any) -> None:
        self.queue.ack(id=job["pqid"])

    def payload(self, job: Any) -> str:
        return str(job["data"])
