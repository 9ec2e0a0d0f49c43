"""The ids of threads' messages, kept up to date while a thread grows, or is cut at its end."""

from collections import Counter

from treadle.core.messages import Message
from treadle.core.threads import StoredThread

_THREADS = 16


class KnownMessages:
    """The ids of the messages of the threads that were looked up last.

    Without it, each append of a batch would look at all messages of its thread.
    """

    def __init__(self) -> None:
        self._threads: dict[str, tuple[StoredThread, Counter[str]]] = {}
        """Each thread and how many of its messages have an id. The least recently used first."""

    def ids(self, stored: StoredThread) -> Counter[str]:
        """How many of a thread's messages have each id; not to be changed."""
        thread = stored.head.thread
        known = self._threads.pop(thread.id, None)
        common, ids = 0, Counter[str]()
        if known is not None:
            common = _common_messages(known[0], stored)
            if common:
                ids = known[1]
                ids.subtract(_ids(known[0].head.thread.messages[common:]))
        ids.update(_ids(thread.messages[common:]))
        self._threads[thread.id] = stored, ids
        if len(self._threads) > _THREADS:
            del self._threads[next(iter(self._threads))]
        return ids


def _ids(messages: tuple[Message, ...]) -> list[str]:
    return [message.id for message in messages if message.id is not None]


def _common_messages(before: StoredThread, after: StoredThread) -> int:
    """How many of the first messages of two rows are surely the same.

    It is 0 unless only appends and truncations lie between them: a batch that failed is undone.
    """
    if after.origin is not before.origin:
        return 0
    common = len(before.head.thread.messages)
    history = after.history
    for _ in range(after.head.version - before.head.version):
        if history is None:
            return 0
        kept = history.delta.changes.truncated_to
        if kept is not None:
            common = min(common, max(kept - before.unloaded, 0))
        history = history.before
    return common if history is before.history else 0
