"""Readers: what is read is the store as it was at one moment, and never waits for who writes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from treadle.backends.postgres.connection import run, send, translated
from treadle.backends.postgres.database import Database
from treadle.backends.postgres.statements import Query, trips
from treadle.backends.sql.program import Program

T = TypeVar("T")

_THREADS = 4
_BEGIN = (Query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),)


class Readers:
    """A few threads that read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-postgres-reader")

    async def read(self, program: Callable[[], Program[T]]) -> T:
        """What comes of a program that reads; `program` begins it anew after an outage.

        Raises:
            StoreUnavailable: the server refuses, or is away for too long.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._read, program)

    def close(self) -> None:
        """Let what was given be done."""
        self._executor.shutdown()

    def _read(self, program: Callable[[], Program[T]]) -> T:
        def work(connection: psycopg.Connection[tuple[object, ...]]) -> T:
            made = run(connection, trips(program(), self._database.queries, _BEGIN))
            send(connection, [Query("COMMIT")])
            return made.result

        try:
            return self._database.call(work)
        except psycopg.Error as error:
            raise translated(error, self._database.location) from error
