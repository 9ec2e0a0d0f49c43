"""Hints from process to process, in a file that all of them have open: the last ones, in a ring.

Nothing is synced and nothing is locked for a reader. If what it reads is not what was written, it
takes that as "anything may have changed".
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from threading import Lock

import msgspec

from treadle.backends._hints import MOST_HINTS, Hints
from treadle.backends._ring import Ring
from treadle.backends._sleepers import Sleepers
from treadle.backends._watch import Watch
from treadle.core.hints import ANYTHING, Hint, HintKind
from treadle.errors import TreadleError

_START = 64
"""The file begins with other things, which its owner writes."""
_CAPACITY = 64 * 1024
_SLEEPERS_START = _START + _CAPACITY + 64
_LARGEST = _CAPACITY // 4
_DOUBT_SECONDS = 0.05
"""After this time, the hints of a commit are written, unless the process has died."""
_Pairs = tuple[tuple[HintKind, str | None], ...]
_pair = attrgetter("kind", "id")


class HintRing:
    """The part of a file that holds the hints of the last commits of all processes.

    Only the holder of the store's lock may write.

    Args:
        path: the file.
        descriptor: the same file, as it is open.
        seeking: is held while the file is read or written.
    """

    def __init__(self, path: str, descriptor: int, seeking: Lock) -> None:
        self._ring = Ring(descriptor, seeking, start=_START, capacity=_CAPACITY)
        self.sleepers = Sleepers(path, descriptor, _SLEEPERS_START)
        """The processes that sleep until there are hints."""

    def end(self) -> int:
        """The position after the last record."""
        return self._ring.end()

    def append(self, hints: Collection[Hint], *, here_too: bool = False) -> None:
        """Write the hints of a commit, after it, and wake the processes that wait for them.

        Args:
            hints: what has changed.
            here_too: wake this process, too, which does not know of the commit yet.
        """
        payload = _payload(hints if len(hints) <= MOST_HINTS else (ANYTHING,))
        self._ring.append(payload if len(payload) <= _LARGEST else _payload((ANYTHING,)))
        self.sleepers.wake(here_too=here_too)

    def since(self, position: int) -> tuple[int, set[Hint]]:
        """Return the present end, and the hints from `position` to there."""
        end, payloads = self._ring.since(position)
        if payloads is None:
            return end, {ANYTHING}
        return end, set().union(*map(_hints_in, payloads))


class RingHints(Hints):
    """Hints that come from a ring.

    Args:
        watch: its position changes with the ring and with `version`.
        ring: returns the ring; None once the store is closed.
        version: changes with each commit, even of a process that dies before it gives its hints.
    """

    def __init__(
        self,
        watch: Watch,
        ring: Callable[[], HintRing | None],
        version: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(self._begin, lambda: watch.stop(self._hear))
        self._watch = watch
        self._ring = ring
        self._version = version
        self._heard = 0
        self._explained: object = None
        """The version up to which the hints have been heard."""
        self._in_doubt = False

    def _begin(self) -> None:
        self._hear()  # what there is, so that later hints are those of later commits
        self._watch.start(self._hear)

    def _hear(self) -> None:
        ring = self._ring()
        if ring is None:
            return
        try:
            version = self._version()
            end, hints = ring.since(self._heard)
        except (OSError, TreadleError) as error:
            self.fail(error)
            return
        if end == self._heard and version != self._explained:
            if not self._in_doubt:
                # A process gives its hints just after its commit: wait for them.
                self._in_doubt = True
                asyncio.get_running_loop().call_later(_DOUBT_SECONDS, self._hear)
                return
            hints = {ANYTHING}
        self._heard, self._explained, self._in_doubt = end, version, False
        self.give(hints)


def _payload(hints: Iterable[Hint]) -> bytes:
    return msgspec.json.encode(list(map(_pair, hints)))


def _hints_in(payload: bytes) -> set[Hint]:
    try:
        pairs = msgspec.json.decode(payload, type=_Pairs)
    except (msgspec.DecodeError, UnicodeDecodeError):  # somebody else's
        return {ANYTHING}
    return {Hint(kind=kind, id=name) for kind, name in pairs}
