"""Edits of what was said: messages at the end of a thread are taken back."""

from typing import Protocol

from treadle.core.codec import SortedModel, always_encoded
from treadle.core.commands import TimedCommand
from treadle.core.ids import ThreadId
from treadle.core.limits import Length, Version
from treadle.core.messages import Message
from treadle.core.read_set import ReadSet
from treadle.core.threads import ThreadChangeSet, ThreadRows, extended, require_thread
from treadle.errors import InvalidValue


class Truncated(SortedModel, frozen=True, kw_only=True):
    """The result of a truncation of a thread, which is now at `version`."""

    version: Version
    removed: tuple[Message, ...] = always_encoded(())
    """The messages that went, in their order."""


class EditRows(ThreadRows, Protocol):
    """The rows that edits need."""

    def find_messages_from(self, thread_id: str, position: int) -> tuple[Message, ...]:
        """The messages of a thread from a position on; a database loads those of the read set."""
        ...


class TruncateThread(TimedCommand[Truncated], frozen=True, kw_only=True):
    """Removes the last messages of a thread. Result: `Truncated`.

    State, patches and runs stay. The version rises by one if a message goes; otherwise nothing
    changes. Fails with `NotFound`, or with `VersionConflict` if the thread is not at version
    `expected`.
    """

    thread_id: ThreadId
    keep: Length | None = None
    """How many messages stay, the first ones."""
    drop: Length | None = None
    """How many messages go, the last ones."""
    expected: Version | None = None

    def check(self) -> None:
        """Refuse both or none of `keep` and `drop`."""
        if self.keep is None and self.drop is None:
            raise InvalidValue("truncateThread.keep", "say how many stay (keep) or go (drop)")
        if self.keep is not None and self.drop is not None:
            raise InvalidValue("truncateThread.drop", "give either keep or drop, not both")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and the messages that may go."""
        read_set.threads.add(self.thread_id)
        if self.keep is not None:
            read_set.add_messages_from(self.thread_id, self.keep)
        if self.drop is not None:
            read_set.add_last_messages(self.thread_id, self.drop)

    def apply(self, rows: EditRows, now: int) -> Truncated:
        """Put the shorter thread with one more delta, which says where it was cut."""
        stored = require_thread(rows, self.thread_id, self.expected)
        kept = self._kept(stored.message_count)
        if kept == stored.message_count:
            return Truncated(version=stored.head.version)
        removed = rows.find_messages_from(self.thread_id, kept)
        after = extended(stored, ThreadChangeSet(truncated_to=kept), now, ())
        rows.threads.put(self.thread_id, after)
        return Truncated(version=after.head.version, removed=removed)

    def _kept(self, count: int) -> int:
        if self.keep is not None:
            return min(self.keep, count)
        return max(count - (self.drop or 0), 0)
