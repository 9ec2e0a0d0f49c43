"""What listings of threads show: their summaries, by owner and by parent, and last messages."""

from collections import OrderedDict

from treadle.backends.files._thread_cache import ThreadCache
from treadle.backends.model.groups import Groups
from treadle.core.codec import encode
from treadle.core.messages import StoredMessage
from treadle.core.thread_summaries import ThreadSummary, last_visible
from treadle.errors import CorruptRecord

_LAST_BYTES = 4 * 2**20
"""About how much memory last messages take."""


class ListedThreads:
    """The threads that listings have looked at; those that have changed are looked at again.

    Args:
        threads: all threads.
    """

    def __init__(self, threads: ThreadCache) -> None:
        self._threads = threads
        self._summaries: dict[str, ThreadSummary] = {}
        self._by_owner = Groups()
        self._by_parent = Groups()
        self._changed: set[str] | None = None
        """The threads to look at: they have changed, or could not be read. None: all."""
        self._last: OrderedDict[str, tuple[StoredMessage | None, int]] = OrderedDict()
        """Last messages, and the size of each. The least recently used first."""
        self._last_bytes = 0

    def note_change(self, key: str) -> None:
        """Note that a thread was written or removed."""
        if self._changed is not None:
            self._changed.add(key)
        self._drop_last(key)

    def find(self, resource_id: str | None, parent_thread_id: str | None) -> list[ThreadSummary]:
        """Return the summaries of the threads with this owner and this parent; None matches all."""
        self._look()
        if parent_thread_id is not None:
            found = [self._summaries[key] for key in self._by_parent.of(parent_thread_id)]
            return [each for each in found if resource_id in (None, each.resource_id)]
        if resource_id is not None:
            return [self._summaries[key] for key in self._by_owner.of(resource_id)]
        return list(self._summaries.values())

    def summary(self, key: str) -> ThreadSummary | None:
        """Return the summary of a thread; its file is read only if no listing has it.

        Raises:
            CorruptRecord: its file is damaged.
        """
        if self._changed is not None and key not in self._changed and key in self._summaries:
            return self._summaries[key]
        return self._threads.summary(key)

    def last_message(self, key: str) -> StoredMessage | None:
        """Return the last message that everybody can see; None, too, if it cannot be read."""
        if key in self._last:
            self._last.move_to_end(key)
            return self._last[key][0]
        try:
            message = last_visible(*self._threads.look_at_messages(key))
        except CorruptRecord as error:
            self._threads.note_damage(key, error)
            return None
        self._threads.note_repair(key)
        self._keep_last(key, message)
        return message

    def _look(self) -> None:
        """Look at the threads that have changed."""
        keys = list(self._threads) if self._changed is None else list(self._changed)
        damaged: set[str] = set()
        for key in keys:
            try:
                summary = self._threads.summary(key)
            except CorruptRecord as error:
                self._threads.note_damage(key, error)
                damaged.add(key)
                summary = None
            else:
                self._threads.note_repair(key)
            self._replace(key, summary)
        self._changed = damaged

    def _replace(self, key: str, after: ThreadSummary | None) -> None:
        before = self._summaries.pop(key, None)
        if before is not None and before.resource_id is not None:
            self._by_owner.discard(before.resource_id, key)
        if before is not None and before.parent_thread_id is not None:
            self._by_parent.discard(before.parent_thread_id, key)
        if after is None:
            return
        self._summaries[key] = after
        if after.resource_id is not None:
            self._by_owner.add(after.resource_id, key)
        if after.parent_thread_id is not None:
            self._by_parent.add(after.parent_thread_id, key)

    def _keep_last(self, key: str, message: StoredMessage | None) -> None:
        size = 100 if message is None else len(encode(message))
        self._last[key] = message, size
        self._last_bytes += size
        while self._last_bytes > _LAST_BYTES:
            self._drop_last(next(iter(self._last)))

    def _drop_last(self, key: str) -> None:
        _, size = self._last.pop(key, (None, 0))
        self._last_bytes -= size
