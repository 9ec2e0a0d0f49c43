"""What a process knows to be stored of a thread, and need not write or read again."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from treadle.integrations.langgraph._layout import Value
from treadle.integrations.langgraph._lists import StoredList

_BYTES = 64 * 2**20
"""Most bytes of lists and of small values that one cache keeps."""
_ENTRIES = 10_000


class Known(NamedTuple):
    """The newest values of a thread's channels in a namespace, as of a version of the root."""

    root: int
    """0: there is no root yet."""
    versions: Mapping[str, str]
    small: Mapping[str, Value]
    """The values that have no document of their own."""
    lists: Mapping[str, StoredList]
    runs: frozenset[str]
    """Runs that are in the index: the last one that was written, at most."""


class KnownThreads:
    """A cache, for any number of threads of the process; what was used last stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str], tuple[Known, int]] = OrderedDict()
        self._bytes = 0

    def get(self, collection: str, space: str) -> Known | None:
        """Return what is known."""
        with self._lock:
            found = self._entries.get((collection, space))
            if found is None:
                return None
            self._entries.move_to_end((collection, space))
            return found[0]

    def put(self, collection: str, space: str, known: Known) -> None:
        """Replace what is known."""
        size = sum(stored.size for stored in known.lists.values())
        size += sum(len(small.value.data) for small in known.small.values() if small.value)
        with self._lock:
            self._remove((collection, space))
            self._entries[collection, space] = known, size
            self._bytes += size
            while self._bytes > _BYTES or len(self._entries) > _ENTRIES:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: tuple[str, str]) -> None:
        _, size = self._entries.pop(key, (None, 0))
        self._bytes -= size
