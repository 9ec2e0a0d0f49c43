"""Treadle on PostgreSQL: a schema in the subject's database."""

from collections.abc import Sequence

import treadle
from benchmarks.peers.postgres.base import DrainSubject, PostgresSubject
from benchmarks.peers.treadle_store import (
    LOOPS,
    TreadleDocuments,
    TreadleHeads,
    TreadleThreads,
    drain,
    send_all,
    work,
)

TASKS = 32
"""How many loops work one entry each, without batches."""


class _Treadle(PostgresSubject):
    name = "treadle (postgresql)"
    distribution = "treadle"

    @classmethod
    def version(cls) -> str:
        return ""

    async def begin(self) -> None:
        await self.connect()

    async def end(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Open the store."""
        self.opened = await treadle.open_store(self.url(), migrate=True).open()

    async def disconnect(self) -> None:
        """Close the store."""
        await self.opened.close()

    def url(self) -> str:
        """Return the URL of the store."""
        return self.address.uri(schema="treadle")


class TreadleThreadsOnPostgres(_Treadle, TreadleThreads):
    """`store.threads`."""


class TreadleHeadsOnPostgres(_Treadle, TreadleHeads):
    """`threads.summary`, `threads.list_summaries` and `threads.update`."""


class TreadleDocumentsOnPostgres(_Treadle, TreadleDocuments):
    """`store.documents`."""


class TreadleDrain(_Treadle, DrainSubject):
    """Loops that claim a batch, and settle it with one `store.batch()`."""

    uses_uvloop = True
    batches = (1, 10, 100)

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        await send_all(self.opened, payloads, mailboxes)

    async def drain(self, batch: int) -> None:
        await drain(self.opened, batch, TASKS if batch == 1 else LOOPS, self.handled.append)

    def how(self) -> str:
        return f"{LOOPS} loops: claim, one batch() of acks ({TASKS} loops for one by one), uvloop"


class TreadleInMailboxes(TreadleDrain):
    """The same, with a thousand mailboxes, of each of which one entry is claimed at a time."""

    name = "treadle (postgresql), 1,000 mailboxes"
    mailboxes = 1_000


class TreadleWorker(TreadleDrain):
    """`treadle.Worker`, with as many concurrent handlers as peers have entries in a batch."""

    name = "treadle (postgresql), Worker"

    async def drain(self, batch: int) -> None:
        await work(self.opened, TASKS if batch == 1 else batch, self.handled.append)

    def how(self) -> str:
        return f"Worker(concurrency=the batch; {TASKS} for one by one), uvloop"
