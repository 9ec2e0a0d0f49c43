"""Subjects on PostgreSQL, each with its own database, which is dropped at the end."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from benchmarks.peers.base import Subject
from benchmarks.server import Address, connect, version_of

CONNECTIONS = 16
"""The size of the pool, for subjects that let us choose it."""


class PostgresSubject(Subject):
    """A subject on a server, whose URL is `store`."""

    uses_server = True

    def __init__(self, folder: Path, store: str) -> None:
        super().__init__(folder, store)
        self.server = Address.of(store)
        self.database_name = f"bench_{uuid4().hex[:12]}"
        self.address = self.server.of_database(self.database_name)

    async def open(self) -> None:
        self.run(self.server, f"create database {self.database_name}")
        self.before = self.bytes_now()
        await self.begin()

    async def close(self) -> None:
        self.kept = self.bytes_now() - self.before
        await self.end()
        self.run(self.server, f"drop database {self.database_name} with (force)")

    @abstractmethod
    async def begin(self) -> None:
        """Connect to the empty database, and create the tables."""

    @abstractmethod
    async def end(self) -> None:
        """Close the connections."""

    def durability(self) -> str:
        return str(version_of(self.address.uri()))

    def size(self) -> int:
        return self.kept

    def run(self, address: Address, statement: str) -> None:
        """Run a statement on the server that is not measured."""
        with connect(address) as connection:
            connection.execute(statement)

    def ask(self, question: str) -> Any:
        """Return the only value of a query."""
        with connect(self.address) as connection:
            return connection.execute(question).fetchone()[0]

    def rest(self) -> None:
        """Vacuum now, so that autovacuum has nothing left to do during the measurement."""
        self.run(self.address, "vacuum analyze")
        self.run(self.address, "checkpoint")

    def bytes_now(self) -> int:
        """Return the size of the database, in bytes."""
        return int(self.ask(f"select pg_database_size('{self.database_name}')"))


class DrainSubject(PostgresSubject):
    """A queue that is drained in its own way."""

    batches: ClassVar[tuple[int, ...]] = (1,)
    """How many entries it claims and settles at a time; 1: without batches."""
    mailboxes: ClassVar[int] = 0
    """How many mailboxes the entries are in, if it has any; 0: one for each entry."""

    def __init__(self, folder: Path, store: str) -> None:
        super().__init__(folder, store)
        self.handled: list[str] = []
        """The payloads that were handled, with duplicates."""

    @abstractmethod
    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        """Queue payloads in batches, in so many mailboxes if it has any."""

    @abstractmethod
    async def drain(self, batch: int) -> None:
        """Drain the queue; all entries are settled in the database when this returns."""

    @abstractmethod
    def how(self) -> str:
        """Describe how it drains: connections, tasks, what is in one transaction."""
