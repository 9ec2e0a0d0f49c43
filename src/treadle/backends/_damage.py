"""Damaged records: calls about many records leave them out, and the log names each once."""

import logging

from treadle.errors import CorruptRecord

_LOGGER = logging.getLogger("treadle.damage")
_MOST_KNOWN = 10_000


class DamageLog:
    """Logs the damaged records of a store, each once.

    Args:
        store: names the store in the log.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._known: set[str] = set()

    def note(self, error: CorruptRecord) -> None:
        """Log a record that was left out, unless it was logged before."""
        if error.where in self._known:
            return
        if len(self._known) >= _MOST_KNOWN:  # a bound for the memory; the log repeats itself then
            self._known.clear()
        self._known.add(error.where)
        _LOGGER.warning("%s: %s", self._store, error)
