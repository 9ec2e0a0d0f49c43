"""The streams of events that a server has open: how many there may be, and their end."""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from treadle.http._errors import Refused
from treadle.http._settings import Limits

_LATER = {"retry-after": "1"}


class Streams:
    """The open streams of a server: so that each can be ended before the server stops."""

    def __init__(self) -> None:
        self._ends: dict[object, Callable[[], object]] = {}
        """How each of them, and each wait, is ended."""
        self._of_principals: Counter[str] = Counter()
        self._have_ended = False
        self.cut_off = 0
        """How many were cut off, because their clients did not read."""

    @property
    def are_ended(self) -> bool:
        """Return whether the server stops."""
        return self._have_ended

    def end(self) -> None:
        """End all streams, and let no new one begin; on the event loop that serves them."""
        self._have_ended = True
        for end in tuple(self._ends.values()):
            end()

    @contextmanager
    def ended_by(self, end: Callable[[], object]) -> Generator[None, None, None]:
        """Let `end` be called when the streams are ended during the block."""
        key = object()
        self._ends[key] = end
        try:
            yield
        finally:
            del self._ends[key]

    @contextmanager
    def counted(self, principal_id: str, limits: Limits) -> Generator[None, None, None]:
        """Count a stream during the block.

        Args:
            principal_id: whose stream it is.
            limits: how many there may be.

        Raises:
            Refused: with 503 if the server stops, or with 429 if there are too many.
        """
        self._require_running()
        self._require_room(principal_id, limits)
        self._of_principals[principal_id] += 1
        try:
            yield
        finally:
            self._of_principals[principal_id] -= 1
            if not self._of_principals[principal_id]:
                del self._of_principals[principal_id]

    def _require_running(self) -> None:
        """Refuse a stream if the server stops.

        Raises:
            Refused: with 503.
        """
        if self._have_ended:
            raise Refused(503, "stopping", "the server is stopping; connect again", _LATER)

    def _require_room(self, principal_id: str, limits: Limits) -> None:
        if self._of_principals[principal_id] >= limits.streams_per_principal:
            most = limits.streams_per_principal
            raise Refused(
                429,
                "too_many_streams",
                f"you have {most} open streams, the most; close one",
                _LATER,
            )
        if self._of_principals.total() >= limits.streams:
            raise Refused(429, "too_many_streams", "the server has too many streams", _LATER)
