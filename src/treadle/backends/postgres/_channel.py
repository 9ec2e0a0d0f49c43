"""A channel of notices between processes: a thread that listens on it, and one that notifies.

A notice is given after a commit and not for each one, because a NOTIFY within a commit makes all
commits of the database wait for each other. It may be lost.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from treadle.backends._deadline import Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends.postgres._limits import (
    CHECK_SECONDS,
    NOTICE_IDLE_SECONDS,
    NOTICE_PAUSE_SECONDS,
    NOTICE_RETRY_SECONDS,
    NOTICE_SECONDS,
)
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location

_LOG = logging.getLogger("treadle.postgres")

NOTIFY = "SELECT pg_catalog.pg_notify(%(channel)s, %(payload)s)"
PAYLOAD_BYTES = 7_900
"""Most bytes of what a notice says. The server takes less than 8,000 bytes."""
_PASSING = (psycopg.Error, OSError, RuntimeError)
"""What ends a connection and not its thread: the server is away, or the process has no descriptor
or no thread left (a `RuntimeError`). Nobody would start the thread again."""


class Channel:
    """Sends notices to other processes and hears theirs, each on a thread that starts when needed.

    A subclass says what the notices are. With `listen=off` there are none.

    Args:
        location: the database.
        name: the name of the channel.
        kind: what the notices carry, for the names of the threads.
        call_seconds: the limit for a notice, if it is shorter than usual.
        connection_class: for tests.
    """

    def __init__(
        self,
        location: Location,
        name: str,
        kind: str,
        call_seconds: float,
        connection_class: type[Connection],
    ) -> None:
        self._location = location
        self._connection_class = connection_class
        self._channel = name
        self._kind = kind
        self._seconds = min(call_seconds, NOTICE_SECONDS)
        self._closing = threading.Event()
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._end, self._ending = socket.socketpair()
        self.is_listening = threading.Event()
        """Set while the notices of others are heard, and once the channel is closed."""
        give_up_in_children(self)

    def begin(self) -> None:
        """Note that earlier notices may have been missed; on the listener, once it hears."""

    def hear(self, payloads: Sequence[str]) -> None:
        """Take in the notices of other processes, and the process's own; on the listener."""
        raise NotImplementedError

    def take(self) -> list[str]:
        """Return the notices to send; on the notifier."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Note that what was taken last may not have been sent completely; on the notifier."""

    def listen(self) -> None:
        """Begin to hear the notices of other processes."""
        self._start("listener", self._listen)

    def notify(self) -> None:
        """Have what `take` returns sent soon; on any thread."""
        if self._location.listen == "off":
            return
        self._wanted.set()
        self._start("notifier", self._notify)

    def close(self) -> None:
        """End both threads."""
        self._closing.set()
        self._wanted.set()
        # `close` is not enough: a child that was forked may have a copy, which keeps it open.
        self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
        for thread in self._threads.values():
            thread.join()
        self.is_listening.set()  # nobody waits for it any longer
        self._ending.close()

    def give_up(self) -> None:
        """Close the sockets in a forked child."""
        self._end.close()
        self._ending.close()

    def _start(self, name: str, work: Callable[[Connection], None]) -> None:
        if name in self._threads or self._location.listen == "off":
            return
        with self._starting:
            if name not in self._threads and not self._closing.is_set():
                thread = threading.Thread(
                    target=self._connected,
                    args=(work,),
                    name=f"treadle-postgres-{self._kind}-{name}",
                    daemon=True,
                )
                try:
                    thread.start()
                except RuntimeError as error:  # the process may have no more: the next call tries
                    _LOG.warning("notices wait for a thread: %s", error)
                else:
                    self._threads[name] = thread

    def _connected(self, work: Callable[[Connection], None]) -> None:
        """Work on a connection of its own, and on a new one whenever it is lost."""
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                with connect(
                    self._location, self._patience(), self._connection_class
                ) as connection:
                    work(connection)
            except _PASSING as error:
                _LOG.warning("notices wait for the server: %s", error)
                # One that was there for long is replaced at once.
                self._closing.wait(begun + NOTICE_RETRY_SECONDS - time.monotonic())

    def _listen(self, connection: Connection) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        connection.patience = None  # `notifies` does not wait
        try:
            self._hear_all(connection)
        finally:
            self.is_listening.clear()

    def _hear_all(self, connection: Connection) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            # Readable once the other end is closed: so `close` ends the select.
            selector.register(self._ending, selectors.EVENT_READ)
            self.is_listening.set()
            self.begin()
            while not self._closing.is_set():
                if not selector.select(CHECK_SECONDS):
                    self._check(connection)
                payloads = [notice.payload for notice in connection.notifies(timeout=0)]
                if payloads:
                    self.hear(payloads)

    def _check(self, connection: Connection) -> None:
        """Ask for an answer: the connection may have fallen silent."""
        connection.patience = self._patience()
        connection.execute("SELECT 1")
        connection.patience = None

    def _patience(self) -> Patience:
        return Patience.of(self._seconds, lambda: not self._closing.is_set())

    def _notify(self, connection: Connection) -> None:
        used = time.monotonic()
        while self._wanted.wait() and not self._closing.is_set():
            if time.monotonic() - used > NOTICE_IDLE_SECONDS:
                self._check(connection)  # before anything is taken, which might be lost with it
            self._wanted.clear()
            try:
                self._send(connection, self.take())
            except BaseException:
                self.put_back()  # once there is a connection again
                self.notify()
                raise
            used = time.monotonic()
            if self._closing.wait(NOTICE_PAUSE_SECONDS):
                return  # the wake-up of `close` may be what was cleared

    def _send(self, connection: Connection, payloads: list[str]) -> None:
        if payloads:
            connection.patience = self._patience()
            values = [{"channel": self._channel, "payload": payload} for payload in payloads]
            connection.send([Query(NOTIFY, each) for each in values])
