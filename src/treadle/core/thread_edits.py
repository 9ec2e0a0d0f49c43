"""Edits of what was said: the last messages of a thread are removed, or a thread is forked."""

import msgspec
from msgspec import UNSET, UnsetType

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.commands import TimedCommand
from treadle.core.ids import ThreadId
from treadle.core.limits import Length, Version
from treadle.core.message_times import trimmed
from treadle.core.messages import Message
from treadle.core.read_set import ReadSet
from treadle.core.thread_versions import with_state_at
from treadle.core.threads import (
    Committed,
    StoredThread,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    ThreadRows,
    created,
    extended,
    require_thread,
)
from treadle.errors import AlreadyExists, InvalidValue


class Truncated(SortedModel, frozen=True, kw_only=True):
    """The result of a truncation of a thread, which is now at `version`."""

    version: Version
    removed: tuple[Message, ...] = always_encoded(())
    """The messages that were removed, in their order."""


class TruncateThread(TimedCommand[Truncated], frozen=True, kw_only=True):
    """Removes the last messages of a thread. Result: `Truncated`.

    State, patches and runs stay. The version rises by one if a message is removed; otherwise
    nothing changes. Fails with `NotFound`, or with `VersionConflict` if the thread is not at
    version `expected`.
    """

    thread_id: ThreadId
    keep: Length | None = None
    """How many of the first messages stay."""
    drop: Length | None = None
    """How many of the last messages are removed."""
    expected: Version | None = None

    def check(self) -> None:
        """Refuse both or none of `keep` and `drop`."""
        if self.keep is None and self.drop is None:
            raise InvalidValue("truncateThread.keep", "say how many stay (keep) or go (drop)")
        if self.keep is not None and self.drop is not None:
            raise InvalidValue("truncateThread.drop", "give either keep or drop, not both")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and the messages that may be removed."""
        read_set.threads.add(self.thread_id)
        if self.keep is not None:
            read_set.add_messages_from(self.thread_id, self.keep)
        if self.drop is not None:
            read_set.add_last_messages(self.thread_id, self.drop)

    def apply(self, rows: ThreadRows, now: int) -> Truncated:
        """Put the shorter thread with one more delta, which says where it was cut."""
        stored = require_thread(rows, self.thread_id, self.expected)
        kept = self._kept(stored.message_count)
        if kept == stored.message_count:
            return Truncated(version=stored.head.version)
        found = rows.find_messages_from(self.thread_id, kept)
        after = extended(stored, ThreadChangeSet(truncated_to=kept), now, removed=found)
        rows.threads.put(self.thread_id, after)
        removed = tuple(each.message for each in found)
        return Truncated(version=after.head.version, removed=removed)

    def _kept(self, count: int) -> int:
        if self.keep is not None:
            return min(self.keep, count)
        return max(count - (self.drop or 0), 0)


class ForkThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates a thread from the first messages of another one. Result: `Committed`, version 0.

    Labels and the times of messages are copied, and `metadata.forked_from` names the source, its
    version and the number of messages that were copied. Fails with `NotFound` without the source,
    with `VersionConflict` if it is not at version `expected`, and with `AlreadyExists` if there is
    a thread `new`.
    """

    source: ThreadId
    new: ThreadId
    at: Length | None = None
    """How many of the first messages are copied; all, if it is None or there are fewer."""
    state: Json | UnsetType = UNSET
    """The state of the new thread; left out, it is that of the source at that position."""
    resource_id: str | UnsetType | None = UNSET
    """The owner of the new thread; left out, it is that of the source."""
    expected: Version | None = None

    def touches(self, read_set: ReadSet) -> None:
        """The source as a whole, and the new thread."""
        read_set.threads.update((self.source, self.new))
        read_set.labels.add(self.source)
        read_set.wholes.add(self.source)
        if self._asks_for_state():
            read_set.steps.add(self.source)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the new thread; the source stays as it is."""
        stored = require_thread(rows, self.source, self.expected)
        if self.new in rows.threads:
            raise AlreadyExists("thread", self.new, "append to it, or use another id")
        source = rows.find_whole(self.source)
        thread = self._copied(self._with_state(source.thread, rows), stored.head.version)
        times = trimmed(source.message_times[: len(thread.messages)])
        head = msgspec.structs.replace(created(thread, now), message_times=times)
        rows.threads.put(self.new, StoredThread(head))
        return Committed(version=0)

    def _copied(self, source: Thread, version: int) -> Thread:
        messages = source.messages[: self.at]
        origin = {"thread_id": self.source, "version": version, "messages": len(messages)}
        return msgspec.structs.replace(
            source,
            id=self.new,
            messages=messages,
            resource_id=source.resource_id if self.resource_id is UNSET else self.resource_id,
            metadata=ThreadMetadata(extra={**source.metadata.extra, "forked_from": origin}),
        )

    def _asks_for_state(self) -> bool:
        return self.at is not None and self.state is UNSET

    def _with_state(self, source: Thread, rows: ThreadRows) -> Thread:
        """The source with the state that the new thread gets."""
        if self.state is not UNSET:
            return msgspec.structs.replace(source, state=self.state, patches=())
        # No snapshot makes a state null, so this one has been null since the thread is known.
        was_always_null = source.state is None and not source.patches
        if self.at is None or self.at >= len(source.messages) or was_always_null:
            return source
        earlier = with_state_at(source, rows.find_steps(self.source), self.at)
        if earlier is None:
            then = f"the state of thread {self.source!r} after {self.at} messages"
            reason = f"{then} is not known; give it"
            raise InvalidValue("forkThread.state", reason)
        return earlier
