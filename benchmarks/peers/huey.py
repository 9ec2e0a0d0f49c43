"""huey: `SqliteHuey`, with its defaults; a connection for each operating system thread."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import BlockingQueueSubject, sqlite_durability


class HueyQueue(BlockingQueueSubject):
    """`dequeue` and `execute`, which is what its consumer does; there is nothing to acknowledge."""

    name = "huey SqliteHuey"
    distribution = "huey"
    after_crash = "LOST: deleted when claimed"

    async def open(self) -> None:
        self.database = self.folder / "huey.db"
        self.huey = import_module("huey").SqliteHuey("bench", filename=str(self.database))
        self.task = self.huey.task()(_work)

    async def close(self) -> None:
        self.huey.storage.close()

    def durability(self) -> str:
        return sqlite_durability(self.database)

    async def fill(self, payloads: Sequence[str]) -> None:
        # its interface adds them one by one, which takes long and is not measured
        rows = [(self.huey.name, self._message(payload), 0) for payload in payloads]
        with self.huey.storage.db(commit=True) as cursor:
            cursor.executemany("insert into task (queue, data, priority) values (?, ?, ?)", rows)

    def claim_now(self) -> Any:
        return self.huey.dequeue()

    def ack_now(self, job: Any) -> None:
        self.huey.execute(job)

    def payload(self, job: Any) -> str:
        return str(job.args[0])

    def _message(self, payload: str) -> Any:
        return self.huey.serialize_task(self.task.s(payload))


def _work(payload: str) -> None:
    """Do nothing: only the queue is measured."""
