"""The floor of a queue: claims and acknowledgements by hand, each in a commit."""

from collections.abc import Sequence
from typing import Any

from benchmarks.peers.base import BatchingQueueSubject, QueueSubject, sqlite_durability
from benchmarks.peers.by_hand import connect

SCHEMA = """
    create table jobs (id integer primary key, payload text not null, claimed_at real);
    create index jobs_waiting on jobs (id) where claimed_at is null;
"""
CLAIM = """
    update jobs set claimed_at = unixepoch()
    where id in (select id from jobs where claimed_at is null order by id limit ?)
    returning id, payload
"""

Job = tuple[int, str]


class ByHandQueue(QueueSubject):
    """An update that returns the job, then a delete."""

    name = "by hand (the floor)"
    after_crash = "stays claimed forever"

    async def open(self) -> None:
        self.database = self.folder / "by_hand.db"
        self.connection = connect(self.database)
        self.connection.executescript(SCHEMA)

    async def close(self) -> None:
        self.connection.close()

    def durability(self) -> str:
        return sqlite_durability(self.database, "FULL")

    async def fill(self, payloads: Sequence[str]) -> None:
        self._together("insert into jobs (payload) values (?)", [(each,) for each in payloads])

    async def claim(self) -> Any:
        jobs = self.connection.execute(CLAIM, (1,)).fetchall()
        return jobs[0] if jobs else None

    async def ack(self, job: Job) -> None:
        self.connection.execute("delete from jobs where id = ?", (job[0],))

    def payload(self, job: Job) -> str:
        return job[1]

    def _together(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self.connection.execute("begin immediate")
        self.connection.executemany(statement, rows)
        self.connection.execute("commit")


class ByHandQueueBatched(ByHandQueue, BatchingQueueSubject):
    """One job of each worker in a commit."""

    name = "by hand, in batches"

    async def claim_several(self, limit: int) -> Sequence[Job]:
        return self.connection.execute(CLAIM, (limit,)).fetchall()

    async def ack_several(self, jobs: Sequence[Job]) -> None:
        self._together("delete from jobs where id = ?", [(job[0],) for job in jobs])
