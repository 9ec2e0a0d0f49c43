"""Notices: what one process writes wakes those who wait in others.

A notice is a hint, given after a commit and not for each: a notice within a commit would make all
commits of the database wait for each other. Whoever waits looks by itself now and then, so one that
is lost costs a moment.
"""

import logging
import selectors
import socket
import threading
from collections.abc import Callable

import psycopg
from psycopg import sql

from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location

_LOG = logging.getLogger("treadle.postgres")
_PAUSE_SECONDS = 0.01
"""Between two notices of a process."""
_RETRY_SECONDS = 1.0


class Notices:
    """Gives notices to other processes and counts theirs, each on a thread once it is wanted."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._closing = threading.Event()
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._end, self._ending = socket.socketpair()
        self.heard = 0
        """Grows with every notice, and when one may have been missed."""

    def listen(self) -> None:
        """Begin to count what is told."""
        self._start("treadle-postgres-listener", self._listen)

    def tell(self) -> None:
        """Tell others soon that something was written."""
        self._wanted.set()
        self._start("treadle-postgres-teller", self._tell)

    def close(self) -> None:
        """End both threads."""
        self._closing.set()
        self._wanted.set()
        self._end.close()
        for thread in self._threads.values():
            thread.join()
        self._ending.close()

    def _start(self, name: str, work: Callable[[Connection], None]) -> None:
        if name in self._threads or self._location.listen == "off":
            return
        with self._starting:
            if name not in self._threads and not self._closing.is_set():
                thread = threading.Thread(
                    target=self._connected, args=(work,), name=name, daemon=True
                )
                self._threads[name] = thread
                thread.start()

    def _connected(self, work: Callable[[Connection], None]) -> None:
        """Do some work on a connection of its own, on a new one whenever one is lost."""
        while not self._closing.is_set():
            try:
                with connect(self._location) as connection:
                    work(connection)
            except psycopg.Error as error:
                _LOG.warning("notices wait for the server: %s", error)
                self._closing.wait(_RETRY_SECONDS)

    def _listen(self, connection: Connection) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._location.channel)))
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._ending, selectors.EVENT_READ)
            while not self._closing.is_set():
                self.heard += 1
                selector.select()
                for _ in connection.notifies(timeout=0):
                    pass

    def _tell(self, connection: Connection) -> None:
        while self._wanted.wait() and not self._closing.is_set():
            self._wanted.clear()
            connection.execute("SELECT pg_notify(%s, '')", (self._location.channel,))
            self._closing.wait(_PAUSE_SECONDS)
