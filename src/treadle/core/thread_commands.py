"""Commands that create, extend, replace, relabel, check and delete threads."""

import msgspec
from msgspec import UNSET, UnsetType

from treadle.core.codec import Json
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import ThreadId
from treadle.core.limits import Version
from treadle.core.messages import Message, new_messages
from treadle.core.patches import check_paths
from treadle.core.read_set import ReadSet
from treadle.core.runs import record_run
from treadle.core.thread_summaries import SummaryRows
from treadle.core.threads import (
    SET_BY_THE_STORE,
    Committed,
    FurtherKeys,
    StoredThread,
    Thread,
    ThreadChangeSet,
    ThreadRows,
    check_thread,
    created,
    extended,
    require_thread,
    saved,
)
from treadle.errors import AlreadyExists, InvalidValue, shorten


class CreateThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates a thread. Result: `Committed`. Fails with `AlreadyExists`."""

    thread: Thread

    def check(self) -> None:
        """Refuse a version in the `extra` of the thread, and too long a path."""
        check_thread(self.thread, "createThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and its parent, which is only locked."""
        read_set.add_child(self.thread.id, self.thread.parent_thread_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the new thread at version 0."""
        thread = self.thread
        if thread.id in rows.threads:
            raise AlreadyExists("thread", thread.id, "append to it, or use another id")
        rows.threads.put(thread.id, StoredThread(created(thread, now)))
        return Committed(version=0)


class EnsureThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates a thread if it does not exist. Result: `Committed`, with its current version."""

    thread: Thread

    def check(self) -> None:
        """Refuse a version in the `extra` of the thread, and too long a path."""
        check_thread(self.thread, "ensureThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and its parent, which is only locked."""
        read_set.add_child(self.thread.id, self.thread.parent_thread_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the thread, unless it exists; an existing thread stays as it is."""
        stored = rows.threads.get(self.thread.id)
        if stored is not None:
            return Committed(version=stored.head.version)
        rows.threads.put(self.thread.id, StoredThread(created(self.thread, now)))
        return Committed(version=0)


class AppendThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Changes a thread, and its run. Result: `Committed`.

    Fails with `NotFound`, or with `VersionConflict` if the thread is not at version `expected`.
    """

    thread_id: ThreadId
    changes: ThreadChangeSet
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a change set that cuts messages off, or has too long a path."""
        check_paths(self.changes.patches, "appendThread.changes.patches")
        if self.changes.truncated_to is not None:
            reason = "an append cuts nothing off; use `truncate`"
            raise InvalidValue("appendThread.changes.truncated_to", reason)

    def touches(self, read_set: ReadSet) -> None:
        """The thread, which of the messages it has already, and the run."""
        read_set.threads.add(self.thread_id)
        for message_id in self._message_ids():
            read_set.messages.add((self.thread_id, message_id))
        if self.changes.run_id:
            read_set.runs.add(self.changes.run_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the changed thread with one more delta, and its run."""
        stored, changes = require_thread(rows, self.thread_id, self.expected), self.changes
        messages = changes.messages
        if ids := self._message_ids():
            messages = new_messages(messages, rows.find_known_messages(self.thread_id, ids))
        rows.threads.put(self.thread_id, extended(stored, changes, now, messages))
        if changes.run_id:
            record_run(
                rows, changes.run_id, self.thread_id, changes.parent_run_id, changes.run_meta, now
            )
        skipped = () if len(messages) == len(changes.messages) else self._skipped(messages)
        return Committed(version=stored.head.version + 1, skipped=skipped)

    def _message_ids(self) -> list[str]:
        return [message.id for message in self.changes.messages if message.id is not None]

    def _skipped(self, added: tuple[Message, ...]) -> tuple[str, ...]:
        kept = {id(message) for message in added}  # by identity: two may have one id
        return tuple(
            message.id
            for message in self.changes.messages
            if message.id is not None and id(message) not in kept
        )


class SaveThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates or replaces a thread as a whole. Result: `Committed`.

    With `expected` it only replaces. It fails with `NotFound`, or with `VersionConflict` if the
    thread is not at that version.
    """

    thread: Thread
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a version in the `extra` of the thread, and too long a path."""
        check_thread(self.thread, "saveThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, its messages, for their times, and its parent, which is only locked."""
        read_set.add_child(self.thread.id, self.thread.parent_thread_id)
        read_set.add_messages_from(self.thread.id, 0)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the thread; its history starts here, so earlier deltas are unknown from now on."""
        before = rows.threads.get(self.thread.id)
        if self.expected is not None:
            before = require_thread(rows, self.thread.id, self.expected)
        known = rows.find_messages_from(self.thread.id, 0) if before else ()
        head = saved(self.thread, before.head if before else None, now, known)
        rows.threads.put(self.thread.id, StoredThread(head))
        return Committed(version=head.version)


class DeleteThread(Command[bool], frozen=True, kw_only=True):
    """Deletes a thread; its runs and mailbox stay. Result: whether it existed.

    With `expected` it fails with `NotFound`, or with `VersionConflict` if the thread is not at that
    version.
    """

    thread_id: ThreadId
    expected: Version | None = None

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread_id)

    def apply(self, rows: ThreadRows, now: int) -> bool:
        """Remove the thread."""
        if self.expected is not None:
            require_thread(rows, self.thread_id, self.expected)
        existed = self.thread_id in rows.threads
        if existed:
            rows.threads.remove(self.thread_id)
        return existed


class UpdateThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Changes the labels of a thread: its metadata, its owner, its parent. Result: `Committed`.

    Its version stays, so that it disturbs nobody who expects one, and `metadata.updated_at` becomes
    the present. Fails with `NotFound`, or with `VersionConflict` if the thread is not at version
    `expected`.
    """

    thread_id: ThreadId
    metadata: FurtherKeys | UnsetType = UNSET
    """A JSON merge patch (RFC 7396) of the further keys of `ThreadMetadata`: null removes a key."""
    resource_id: str | UnsetType | None = UNSET
    """The new owner; None removes it."""
    parent_thread_id: ThreadId | UnsetType | None = UNSET
    """The new parent; None removes it."""
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a merge patch of what the store sets."""
        if self.metadata is UNSET:
            return
        for key in sorted(SET_BY_THE_STORE.intersection(self.metadata)):
            reason = f"the store sets {shorten(key)} itself; leave it out"
            raise InvalidValue(f"updateThread.metadata.{key}", reason)

    def touches(self, read_set: ReadSet) -> None:
        """The thread with its labels, and its new parent, which is only locked."""
        parent = self.parent_thread_id
        read_set.add_child(self.thread_id, None if parent is UNSET else parent)
        read_set.labels.add(self.thread_id)

    def apply(self, rows: SummaryRows, now: int) -> Committed:
        """Put the thread with its new labels; its deltas stay known."""
        stored = require_thread(rows, self.thread_id, self.expected)
        thread = self._updated(rows.find_labels(self.thread_id), now)
        head = msgspec.structs.replace(stored.head, thread=thread)
        rows.threads.put(self.thread_id, msgspec.structs.replace(stored, head=head))
        return Committed(version=head.version)

    def _updated(self, thread: Thread, now: int) -> Thread:
        metadata = msgspec.structs.replace(thread.metadata, updated_at=now)
        if self.metadata is not UNSET:
            extra = _merged(metadata.extra, self.metadata)
            metadata = msgspec.structs.replace(metadata, extra=extra)
        thread = msgspec.structs.replace(thread, metadata=metadata)
        if self.resource_id is not UNSET:
            thread = msgspec.structs.replace(thread, resource_id=self.resource_id)
        if self.parent_thread_id is not UNSET:
            thread = msgspec.structs.replace(thread, parent_thread_id=self.parent_thread_id)
        return thread


class CheckThread(Command[Committed], frozen=True, kw_only=True):
    """Lets its batch commit only if a thread is at version `expected`. Result: `Committed`.

    Fails with `NotFound` or `VersionConflict`.
    """

    thread_id: ThreadId
    expected: Version

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Compare the versions."""
        require_thread(rows, self.thread_id, self.expected)
        return Committed(version=self.expected)


def _merged(target: Json, patch: Json) -> Json:
    """Return a value after a JSON merge patch (RFC 7396): null removes a key."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), item)
    return result
