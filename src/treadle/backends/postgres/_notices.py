"""Notices: what one process writes wakes those who wait in others.

A notice is a hint. It is given after a commit and not for each one, because a NOTIFY within a
commit makes all commits of the database wait for each other. Callers that wait look by themselves
now and then, so a lost notice costs them a moment.
"""

import logging
import selectors
import socket
import threading
import uuid
from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec
import psycopg
from psycopg import sql

from treadle.backends._deadline import Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends._hints import MOST_HINTS
from treadle.backends.postgres._limits import (
    CHECK_SECONDS,
    NOTICE_PAUSE_SECONDS,
    NOTICE_RETRY_SECONDS,
    NOTICE_SECONDS,
)
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location
from treadle.core.hints import ANYTHING, Hint, HintKind

_LOG = logging.getLogger("treadle.postgres")

NOTIFY = "SELECT pg_catalog.pg_notify(%(channel)s, %(payload)s)"
_PAYLOAD_BYTES = 7_900
"""Most bytes of the hints of a notice. The server takes less than 8,000 bytes."""
_MOST_PAYLOADS = 10
_Pair: TypeAlias = tuple[HintKind, str | None]


class _Payload(msgspec.Struct, array_like=True):
    """What a notice says: who has changed what."""

    sender: str
    hints: tuple[_Pair, ...]


def payloads_of(hints: Collection[Hint], sender: str = "") -> list[str]:
    """The payloads of the notices that give these hints.

    Args:
        hints: what has changed.
        sender: who changed it, and need not hear it; empty if all are to hear it.
    """
    parts: list[list[_Pair]] = []
    left = 0
    for hint in hints:
        pair = (hint.kind, hint.id)
        size = len(msgspec.json.encode(pair)) + 1
        if size > left:
            parts.append([])
            left = _PAYLOAD_BYTES
        parts[-1].append(pair)
        left -= size
    if len(parts) > _MOST_PAYLOADS:
        parts = [[(ANYTHING.kind, None)]]
    return [msgspec.json.encode(_Payload(sender, tuple(part))).decode() for part in parts]


def _hints_in(payload: str, listener: str) -> set[Hint]:
    """The hints of a notice, but those that the listener has given."""
    try:
        notice = msgspec.json.decode(payload, type=_Payload)
    except msgspec.DecodeError:  # somebody else's
        return {ANYTHING}
    if notice.sender == listener:
        return set()
    return {Hint(kind=kind, id=name) for kind, name in notice.hints}


class Notices:
    """Gives notices to other processes and counts theirs, each on a thread of its own if wanted.

    Args:
        location: the database.
        call_seconds: the limit for a notice, if it is shorter than usual.
        on_heard: called on the listener's thread with the hints of other processes.
    """

    def __init__(
        self,
        location: Location,
        call_seconds: float,
        on_heard: Callable[[Collection[Hint]], None],
    ) -> None:
        self._location = location
        self._on_heard = on_heard
        self._name = uuid.uuid4().hex
        self._hints: set[Hint] = set()
        """What to give with the next notice."""
        self._changing = threading.Lock()
        self._seconds = min(call_seconds, NOTICE_SECONDS)
        self._closing = threading.Event()
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._end, self._ending = socket.socketpair()
        give_up_in_children(self)
        self.heard = 0
        """Grows with every notice, and when one may have been missed."""

    def listen(self) -> None:
        """Begin to count the notices of other processes."""
        self._start("treadle-postgres-listener", self._listen)

    def give(self, hints: Collection[Hint]) -> None:
        """Have other processes notified soon that something was written; on any thread."""
        if not hints or self._location.listen == "off":
            return
        with self._changing:
            self._hints |= hints if isinstance(hints, set) else set(hints)
            if len(self._hints) > MOST_HINTS:
                self._hints = {ANYTHING}
        self._wanted.set()
        self._start("treadle-postgres-notifier", self._notify)

    def close(self) -> None:
        """End both threads."""
        self._closing.set()
        self._wanted.set()
        # Not just `close`: a child that was forked may have a copy, which would keep it open.
        self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
        for thread in self._threads.values():
            thread.join()
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
                    target=self._connected, args=(work,), name=name, daemon=True
                )
                self._threads[name] = thread
                thread.start()

    def _connected(self, work: Callable[[Connection], None]) -> None:
        """Work on a connection of its own, and on a new one whenever it is lost."""
        while not self._closing.is_set():
            try:
                with connect(self._location, self._patience()) as connection:
                    work(connection)
            except psycopg.Error as error:
                _LOG.warning("notices wait for the server: %s", error)
                self._closing.wait(NOTICE_RETRY_SECONDS)

    def _listen(self, connection: Connection) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._location.channel)))
        connection.patience = None  # `notifies` does not wait
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            # Readable once the other end is closed: so `close` ends the select.
            selector.register(self._ending, selectors.EVENT_READ)
            self._hear({ANYTHING})  # what came before this
            while not self._closing.is_set():
                if not selector.select(CHECK_SECONDS):
                    self._check(connection)
                hints: set[Hint] = set()
                for notice in connection.notifies(timeout=0):
                    hints |= _hints_in(notice.payload, self._name)
                if hints:
                    self._hear(hints)

    def _hear(self, hints: set[Hint]) -> None:
        self.heard += 1
        self._on_heard(hints)

    def _check(self, connection: Connection) -> None:
        """Ask for an answer: the connection may have fallen silent."""
        connection.patience = self._patience()
        connection.execute("SELECT 1")
        connection.patience = None

    def _patience(self) -> Patience:
        return Patience.of(self._seconds, lambda: not self._closing.is_set())

    def _notify(self, connection: Connection) -> None:
        while self._wanted.wait() and not self._closing.is_set():
            self._wanted.clear()
            with self._changing:
                hints, self._hints = self._hints, set()
            try:
                self._send(connection, payloads_of(hints, self._name))
            except BaseException:
                self.give(hints)  # once there is a connection again
                raise
            self._closing.wait(NOTICE_PAUSE_SECONDS)

    def _send(self, connection: Connection, payloads: list[str]) -> None:
        channel = self._location.channel
        for payload in payloads:
            connection.patience = self._patience()
            connection.execute(NOTIFY, {"channel": channel, "payload": payload})
