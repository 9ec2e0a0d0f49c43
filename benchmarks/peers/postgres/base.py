"""A subject on PostgreSQL: it has a database to itself, which goes when it does."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from benchmarks.peers.base import Subject
from benchmarks.server import Address, connect, version_of

CONNECTIONS = 16
"""Connections of those that let us choose: what they have for many callers at a time."""


class PostgresSubject(Subject):
    """One that is measured on a server; `store` is the server's URL."""

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
        """Connect to the empty database, and make the tables."""

    @abstractmethod
    async def end(self) -> None:
        """Let go of the connections."""

    def durability(self) -> str:
        return str(version_of(self.address.uri()))

    def size(self) -> int:
        return self.kept

    def run(self, address: Address, statement: str) -> None:
        """Have the server do something that is not measured."""
        with connect(address) as connection:
            connection.execute(statement)

    def ask(self, question: str) -> Any:
        """The one value that answers a question."""
        with connect(self.address) as connection:
            return connection.execute(question).fetchone()[0]

    def rest(self) -> None:
        """What autovacuum does in time, at once: nothing of the filling is left to do."""
        self.run(self.address, "vacuum analyze")
        self.run(self.address, "checkpoint")

    def bytes_now(self) -> int:
        """The size of the database."""
        return int(self.ask(f"select pg_database_size('{self.database_name}')"))


class DrainSubject(PostgresSubject):
    """One that keeps work waiting, and has a way of its own to work it off."""

    batches: ClassVar[tuple[int, ...]] = (1,)
    """How many entries it is asked to take and settle at a time; 1: as it does without batches."""
    mailboxes: ClassVar[int] = 0
    """In how many mailboxes the entries stand, if it has any; 0: each in one of its own."""

    def __init__(self, folder: Path, store: str) -> None:
        super().__init__(folder, store)
        self.handled: list[str] = []
        """The payloads that were handed out, as often as they were."""

    @abstractmethod
    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        """Queue payloads, quickly; in so many mailboxes if it has any."""

    @abstractmethod
    async def drain(self, batch: int) -> None:
        """Work off all that waits; all of it is settled in the database when this returns."""

    @abstractmethod
    def how(self) -> str:
        """How it drains: connections, tasks, what is in one transaction."""
