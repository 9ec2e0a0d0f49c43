"""Notices of hints: what one process writes wakes those who wait in others.

Callers that wait look by themselves now and then, so a lost notice costs them a moment.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import msgspec

from treadle.backends._hints import MOST_HINTS
from treadle.backends.postgres._channel import PAYLOAD_BYTES, Channel
from treadle.backends.postgres.connection import Connection
from treadle.backends.postgres.location import Location
from treadle.clock import new_token
from treadle.core.hints import ANYTHING, Hint, HintKind

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
            left = PAYLOAD_BYTES
        parts[-1].append(pair)
        left -= size
    if len(parts) > _MOST_PAYLOADS:
        parts = [[(ANYTHING.kind, None)]]
    return [msgspec.json.encode(_Payload(sender, tuple(part))).decode() for part in parts]


def _hints_in(payload: str, listener: str) -> set[Hint]:
    """The hints of a notice, unless the listener has sent it."""
    try:
        notice = msgspec.json.decode(payload, type=_Payload)
    except (msgspec.DecodeError, RecursionError):  # somebody else's
        return {ANYTHING}
    if notice.sender == listener:
        return set()
    return {Hint(kind=kind, id=name) for kind, name in notice.hints}


class Notices(Channel):
    """Hints from process to process.

    Args:
        location: the database.
        call_seconds: the limit for a notice, if it is shorter than usual.
        on_heard: called on the listener's thread with the hints of other processes.
        connection_class: for tests.
    """

    def __init__(
        self,
        location: Location,
        call_seconds: float,
        on_heard: Callable[[Collection[Hint]], None],
        connection_class: type[Connection] = Connection,
    ) -> None:
        super().__init__(location, location.channel, "hints", call_seconds, connection_class)
        self._on_heard = on_heard
        self._name = new_token()
        self._hints: set[Hint] = set()
        """What the next notice says."""
        self._taken: set[Hint] = set()
        """What the last notice said."""
        self._changing = threading.Lock()
        self.heard = 0
        """Grows with every notice, and when one may have been missed."""

    def give(self, hints: Collection[Hint]) -> None:
        """Have other processes notified soon that something was written; on any thread."""
        if not hints or self._location.listen == "off":
            return
        self._add(hints)
        self.notify()

    def begin(self) -> None:
        """Note that earlier notices may have been missed."""
        self._hear({ANYTHING})

    def hear(self, payloads: Sequence[str]) -> None:
        """Take in the notices of other processes."""
        hints = {hint for payload in payloads for hint in _hints_in(payload, self._name)}
        if hints:
            self._hear(hints)

    def take(self) -> list[str]:
        """Return the notices of all hints that were given."""
        with self._changing:
            self._taken, self._hints = self._hints, set()
        return payloads_of(self._taken, self._name)

    def put_back(self) -> None:
        """Send what was taken last again, which does no harm: it may not have been sent."""
        self._add(self._taken)

    def _add(self, hints: Collection[Hint]) -> None:
        with self._changing:
            self._hints |= hints if isinstance(hints, set) else set(hints)
            if len(self._hints) > MOST_HINTS:
                self._hints = {ANYTHING}

    def _hear(self, hints: set[Hint]) -> None:
        self.heard += 1
        self._on_heard(hints)
