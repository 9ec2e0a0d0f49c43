"""The ids of threads' messages, kept up to date while a thread grows."""

from treadle.core.threads import StoredThread

_THREADS = 16


class KnownMessages:
    """The ids of the messages of the threads that were asked about last.

    Without it, each append of a batch would look at all messages of its thread.
    """

    def __init__(self) -> None:
        self._threads: dict[str, tuple[StoredThread, set[str]]] = {}
        """Each thread and the ids of its messages. The least recently used first."""

    def ids(self, stored: StoredThread) -> set[str]:
        """The ids of a thread's messages; not to be changed."""
        thread = stored.head.thread
        known = self._threads.pop(thread.id, None)
        start, ids = 0, set[str]()
        if known is not None and _has_grown_from(known[0], stored):
            start, ids = len(known[0].head.thread.messages), known[1]
        ids.update(each.id for each in thread.messages[start:] if each.id is not None)
        self._threads[thread.id] = stored, ids
        if len(self._threads) > _THREADS:
            del self._threads[next(iter(self._threads))]
        return ids


def _has_grown_from(before: StoredThread, after: StoredThread) -> bool:
    """Return True if only appends lie between; a batch that failed takes back what it appended."""
    if after.origin is not before.origin:
        return False
    history = after.history
    for _ in range(after.head.version - before.head.version):
        if history is None:
            return False
        history = history.before
    return history is before.history
