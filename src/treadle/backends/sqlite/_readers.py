"""Readers: threads and their connections, which never wait for the writer."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event
from typing import TypeVar

from treadle.backends._closing import close_all
from treadle.backends._deadline import Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends.base import Durability
from treadle.backends.sql.program import Program
from treadle.backends.sqlite._connection import close, connect, give_up, transaction
from treadle.backends.sqlite._errors import translate_errors
from treadle.backends.sqlite._execution import run
from treadle.backends.sqlite._open_files import OpenFiles
from treadle.backends.sqlite._uses import using_sqlite
from treadle.errors import StoreUnavailable

T = TypeVar("T")

_THREADS = 4


class Readers:
    """A few threads that read. Each read sees the store as it was at one moment."""

    def __init__(self, path: str, durability: Durability, files: OpenFiles) -> None:
        self._path = path
        self._files = files
        self._durability: Durability = durability
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-sqlite-reader")
        self._connections: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        """Those that no thread uses, the last used at the end: it has read the schema, has prepared
        statements and pages in memory. The threads have none of their own, as a read may get a new
        thread although the last one has just become free."""
        give_up_in_children(self)

    async def read(self, program: Program[T], seconds: float) -> T:
        """Run a program that reads, and return its result.

        Args:
            program: the program.
            seconds: how long to wait for other programs.
        """
        loop = asyncio.get_running_loop()
        is_cancelled = Event()
        patience = Patience.of(seconds, lambda: not is_cancelled.is_set())
        try:
            answer = loop.run_in_executor(self._executor, self._read, program, patience)
        except RuntimeError as error:  # the process may have no more threads
            is_cancelled.set()
            raise StoreUnavailable(self._path, str(error)) from error
        try:
            return await answer
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    def give_up(self) -> None:
        """Close the connections in a forked child."""
        for connection in self._connections:
            give_up(connection)

    def close(self) -> None:
        """Finish the reads that were accepted, and close the connections."""
        self._executor.shutdown()
        close_all(*(partial(close, connection) for connection in self._connections))

    def _read(self, program: Program[T], patience: Patience) -> T:
        with translate_errors(self._path, self._files):
            connection = self._take_connection(patience)
            try:
                with transaction(connection, "DEFERRED", patience):
                    self._files.require_in_place()
                    return run(connection, program)
            finally:
                self._idle.append(connection)

    def _take_connection(self, patience: Patience) -> sqlite3.Connection:
        with suppress(IndexError):
            return self._idle.pop()
        self._files.require_in_place()
        made = connect(self._path, self._durability, patience)
        self._connections.append(made)
        with using_sqlite():
            made.execute("PRAGMA query_only = ON")
        return made
