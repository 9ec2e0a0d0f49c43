"""Written by `make twin` from `treadle.store.thread_writes`: change that, not this."""

from collections.abc import Callable, Coroutine
from typing import Any, cast, overload

from msgspec import UNSET, UnsetType

from treadle.blocking._portal import Portal
from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.core.thread_edits import Truncated
from treadle.core.threads import Committed, Thread, ThreadChangeSet
from treadle.store import thread_writes as original


class ThreadWrites:
    """Writes to threads: done at once.

    They take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, writes: original.ThreadWrites, portal: Portal) -> None:
        self._portal = portal
        self._writes = writes

    def create(self, thread: Thread, *, now: int | None = None) -> Committed:
        """Create a thread, at version 0.

        Raises:
            AlreadyExists: the id is taken.
            InvalidId, InvalidValue: the thread cannot be stored; the message says where.
        """
        return self._portal.call(self._writes.create(thread, now=now))

    def ensure(self, thread: Thread, *, now: int | None = None) -> Committed:
        """Create a thread if it does not exist; an existing one stays as it is.

        Returns its current version.

        Raises:
            InvalidId, InvalidValue: the thread cannot be stored; the message says where.
        """
        return self._portal.call(self._writes.ensure(thread, now=now))

    @overload
    def append(
        self,
        thread_id: str,
        changes: ThreadChangeSet,
        /,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed: ...

    @overload
    def append(
        self,
        thread_id: str,
        /,
        *messages: Message,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed: ...

    def append(
        self,
        thread_id: str,
        /,
        *changes: Message | ThreadChangeSet,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed:
        """Append messages to a thread, or a change set.

        A change set (`ThreadChangeSet`) can hold patches, a snapshot and the run that the messages
        belong to. A message whose id the thread already has is skipped.

        Args:
            thread_id: which thread.
            changes: messages in their order, or one change set.
            expected: append only if the thread is still at this version.
            now: the present.

        Raises:
            NotFound: the thread does not exist.
            VersionConflict: the thread is at another version than `expected`.
            InvalidId, InvalidValue: the changes cannot be stored; the message says where.
        """
        append = cast("Callable[..., Coroutine[Any, Any, Committed]]", self._writes.append)
        return self._portal.call(append(thread_id, *changes, expected=expected, now=now))

    def save(
        self, thread: Thread, *, expected: int | None = None, now: int | None = None
    ) -> Committed:
        """Create a thread at version 0, or replace it as a whole, which raises the version by one.

        Args:
            thread: the new thread.
            expected: replace the thread only if it is still at this version; never create it.
            now: the present.

        Raises:
            NotFound: the thread does not exist, and a version is expected.
            VersionConflict: the thread is at another version than `expected`.
            InvalidId, InvalidValue: the thread cannot be stored; the message says where.
        """
        return self._portal.call(self._writes.save(thread, expected=expected, now=now))

    def update(
        self,
        thread_id: str,
        *,
        metadata: dict[str, Json] | UnsetType = UNSET,
        resource_id: str | UnsetType | None = UNSET,
        parent_thread_id: str | UnsetType | None = UNSET,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed:
        """Change the labels of a thread: its title, say. What is left out stays as it is.

        The version stays, so a turn that is under way and expects a version goes on. No append is
        lost, and `list_deltas` still answers. `metadata.updated_at` becomes the present.

        Args:
            thread_id: which thread.
            metadata: a JSON merge patch (RFC 7396) of the further keys of `ThreadMetadata`:
                ``{"title": "Hi"}`` sets a key, ``{"title": None}`` removes it.
            resource_id: the new owner; None removes it.
            parent_thread_id: the new parent; None removes it.
            expected: update the thread only if it is still at this version.
            now: the present.

        Raises:
            NotFound: the thread does not exist.
            VersionConflict: the thread is at another version than `expected`.
            InvalidId, InvalidValue: the labels cannot be stored, or `metadata` has a key that the
                store sets, such as `created_at`; the message says where.
        """
        return self._portal.call(
            self._writes.update(
                thread_id,
                metadata=metadata,
                resource_id=resource_id,
                parent_thread_id=parent_thread_id,
                expected=expected,
                now=now,
            )
        )

    def truncate(
        self,
        thread_id: str,
        *,
        keep: int | None = None,
        drop: int | None = None,
        expected: int | None = None,
        now: int | None = None,
    ) -> Truncated:
        """Remove the last messages of a thread; give either `keep` or `drop`.

        State, patches and runs stay. The version rises by one if a message is removed; otherwise
        nothing changes. In a batch with an append it replaces the end of a conversation: that is
        how an answer is generated again, or a message is edited and sent again.

        The positions of the removed messages are used again. Deltas still show the removed
        messages, until the thread is saved as a whole or deleted.

        Args:
            thread_id: which thread.
            keep: how many of the first messages stay; all, if there are fewer.
            drop: how many of the last messages are removed; all, if there are fewer.
            expected: truncate the thread only if it is still at this version.
            now: the present.

        Raises:
            NotFound: the thread does not exist.
            VersionConflict: the thread is at another version than `expected`.
            InvalidValue: both of `keep` and `drop` are given or none is, or one is negative.
        """
        return self._portal.call(
            self._writes.truncate(thread_id, keep=keep, drop=drop, expected=expected, now=now)
        )

    def fork(
        self,
        source: str,
        new: str,
        *,
        at: int | None = None,
        state: Json | UnsetType = UNSET,
        resource_id: str | UnsetType | None = UNSET,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed:
        """Create a thread from the first messages of another one, at version 0.

        Owner, parent and metadata are copied, and the patches with the state.
        `metadata.extra["forked_from"]` names the source, its version and how many messages were
        copied.

        Args:
            source: which thread is copied; it stays as it is.
            new: the id of the new thread.
            at: how many of the first messages are copied; all, if it is None or there are fewer.
            state: the state of the new thread. Left out, it is the state that the source had when
                it last had so many messages. Give it if that is not known: the source was saved
                since, or a later snapshot has replaced a state that no earlier one began, or the
                messages before and after `at` came with one change of the state.
            resource_id: the owner of the new thread. Left out, it is the owner of the source.
            expected: fork the source only if it is still at this version.
            now: the present.

        Raises:
            NotFound: the source does not exist.
            VersionConflict: it is at another version than `expected`.
            AlreadyExists: there is a thread `new`.
            InvalidId, InvalidValue: an argument cannot be stored, or the state at that position is
                not known; the message says which.
        """
        return self._portal.call(
            self._writes.fork(
                source, new, at=at, state=state, resource_id=resource_id, expected=expected, now=now
            )
        )

    def check(self, thread_id: str, *, expected: int) -> Committed:
        """Let a batch commit only if a thread is still at version `expected`.

        Raises:
            NotFound: the thread does not exist.
            VersionConflict: the thread is at another version.
        """
        return self._portal.call(self._writes.check(thread_id, expected=expected))

    def delete(self, thread_id: str, *, expected: int | None = None) -> bool:
        """Delete a thread; its runs and its mailbox stay. Returns whether it existed.

        Args:
            thread_id: which thread.
            expected: delete the thread only if it is still at this version.

        Raises:
            NotFound: the thread does not exist, and a version is expected.
            VersionConflict: the thread is at another version than `expected`.
        """
        return self._portal.call(self._writes.delete(thread_id, expected=expected))
