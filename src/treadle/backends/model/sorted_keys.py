"""Texts in their order, for ranges of keys."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from treadle.core.pages import Order


class SortedKeys:
    """A sorted list of texts. A change moves what follows it, 8 bytes a key."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = sorted(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def note(self, key: str, *, present: bool) -> None:
        """Note that a key is there, or not."""
        at = bisect_left(self._keys, key)
        found = at < len(self._keys) and self._keys[at] == key
        if present and not found:
            insort(self._keys, key, at)
        elif found and not present:
            del self._keys[at]

    def first(self, least: str) -> str | None:
        """Return the first key that is not less than `least`."""
        at = bisect_left(self._keys, least)
        return self._keys[at] if at < len(self._keys) else None

    def between(self, after: str, before: str | None, order: Order) -> Iterator[str]:
        """Yield the keys between two, which are excluded; None is the end."""
        start = bisect_right(self._keys, after)
        end = len(self._keys) if before is None else bisect_left(self._keys, before)
        positions = range(start, end)
        for at in positions if order == "asc" else reversed(positions):
            yield self._keys[at]
