"""Threads, as a user of a store sees them."""

from collections.abc import AsyncGenerator
from typing import Literal, cast, overload

from msgspec import UNSET, UnsetType

from treadle.backends.base import Backend
from treadle.core.codec import Json
from treadle.core.edits import ForkThread, Truncated, TruncateThread
from treadle.core.following import FollowedItem, LiveItem
from treadle.core.heads import (
    CheckThread,
    HeadKey,
    HeadPage,
    ListHeads,
    LoadHead,
    ThreadSummary,
    UpdateThread,
)
from treadle.core.messages import Message, MessagePage, Visibility
from treadle.core.pages import Order
from treadle.core.queries import check_query
from treadle.core.thread_commands import (
    AppendThread,
    CreateThread,
    DeleteThread,
    EnsureThread,
    SaveThread,
)
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.threads import (
    Committed,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
)
from treadle.errors import InvalidValue
from treadle.store.following import Following
from treadle.store.writes import NewWrite, Write


class ThreadWrites:
    """Writes to threads: awaited on the store, collected in a batch.

    They take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    def create(self, thread: Thread, *, now: int | None = None) -> Write[Committed]:
        """Create a thread, at version 0.

        Raises:
            AlreadyExists: the id is taken.
            InvalidId, InvalidValue: the thread cannot be stored; the message says where.
        """
        return self._write(CreateThread(thread=thread, now=now))

    def ensure(self, thread: Thread, *, now: int | None = None) -> Write[Committed]:
        """Create a thread if it does not exist; an existing one stays as it is.

        Returns its current version.

        Raises:
            InvalidId, InvalidValue: the thread cannot be stored; the message says where.
        """
        return self._write(EnsureThread(thread=thread, now=now))

    @overload
    def append(
        self,
        thread_id: str,
        changes: ThreadChangeSet,
        /,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Committed]: ...

    @overload
    def append(
        self,
        thread_id: str,
        /,
        *messages: Message,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Committed]: ...

    def append(
        self,
        thread_id: str,
        /,
        *changes: Message | ThreadChangeSet,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Committed]:
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
        change_set = _change_set(changes)
        command = AppendThread(thread_id=thread_id, changes=change_set, expected=expected, now=now)
        return self._write(command)

    def save(
        self, thread: Thread, *, expected: int | None = None, now: int | None = None
    ) -> Write[Committed]:
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
        return self._write(SaveThread(thread=thread, expected=expected, now=now))

    def update(
        self,
        thread_id: str,
        *,
        metadata: dict[str, Json] | UnsetType = UNSET,
        resource_id: str | UnsetType | None = UNSET,
        parent_thread_id: str | UnsetType | None = UNSET,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Committed]:
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
        command = UpdateThread(
            thread_id=thread_id,
            metadata=metadata,
            resource_id=resource_id,
            parent_thread_id=parent_thread_id,
            expected=expected,
            now=now,
        )
        return self._write(command)

    def truncate(
        self,
        thread_id: str,
        *,
        keep: int | None = None,
        drop: int | None = None,
        expected: int | None = None,
        now: int | None = None,
    ) -> Write[Truncated]:
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
        command = TruncateThread(
            thread_id=thread_id, keep=keep, drop=drop, expected=expected, now=now
        )
        return self._write(command)

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
    ) -> Write[Committed]:
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
        command = ForkThread(
            source=source,
            new=new,
            at=at,
            state=state,
            resource_id=resource_id,
            expected=expected,
            now=now,
        )
        return self._write(command)

    def check(self, thread_id: str, *, expected: int) -> Write[Committed]:
        """Let a batch commit only if a thread is still at version `expected`.

        Raises:
            NotFound: the thread does not exist.
            VersionConflict: the thread is at another version.
        """
        return self._write(CheckThread(thread_id=thread_id, expected=expected))

    def delete(self, thread_id: str, *, expected: int | None = None) -> Write[bool]:
        """Delete a thread; its runs and its mailbox stay. Returns whether it existed.

        Args:
            thread_id: which thread.
            expected: delete the thread only if it is still at this version.

        Raises:
            NotFound: the thread does not exist, and a version is expected.
            VersionConflict: the thread is at another version than `expected`.
        """
        return self._write(DeleteThread(thread_id=thread_id, expected=expected))


class Threads(ThreadWrites):
    """Conversations: created, appended to, read in pages."""

    def __init__(self, backend: Backend, write: NewWrite, following: Following) -> None:
        super().__init__(write)
        self._backend = backend
        self._following = following

    async def load(self, thread_id: str, *, version: int | None = None) -> ThreadHead | None:
        """Read a thread as a whole with its version; None if it does not exist.

        With `version` it is the thread as it was then: its messages and their times, its state and
        patches. Owner, parent and metadata are the present ones, because they have no versions.
        None if that version is not known: it is yet to come, or comes before a save (see
        `list_deltas`), or a later snapshot has replaced a state that no earlier one began.

        Raises:
            CorruptRecord: it cannot be read.
        """
        query = LoadThread(thread_id=thread_id, version=version)
        return await self._backend.read(check_query(query, "load"))

    async def head(self, thread_id: str) -> ThreadSummary | None:
        """Read a thread without its messages, its state and its patches; None if it does not exist.

        It has the owner, the parent, the metadata, the version and the number of messages. It costs
        the same however long the thread is, except on files, where a thread that is not in memory
        is read from its document.

        Raises:
            CorruptRecord: it cannot be read.
        """
        return await self._backend.read(check_query(LoadHead(thread_id=thread_id), "head"))

    async def list_heads(
        self,
        *,
        by: HeadKey = "id",
        order: Order = "asc",
        after: str | None = None,
        limit: int = 50,
        resource_id: str | None = None,
        parent_thread_id: str | None = None,
        roots: bool = False,
        with_last_message: bool = False,
    ) -> HeadPage:
        """List the threads that match all filters, without their messages, in pages by a cursor.

        The newest threads of a user, as in an inbox, from one snapshot:
        ``list_heads(by="updated_at", order="desc", resource_id=user, with_last_message=True)``.

        A page costs the same however many threads there are, except on files and with `roots`.
        By `updated_at`, a thread that is updated while pages are read may come twice or not at all.

        Args:
            by: sort by id, or by a time (a thread without one is the oldest), and then by id.
            order: "asc" or "desc".
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.
            resource_id: only threads of this owner.
            parent_thread_id: only threads with this parent; to sort them by a time, all are read.
            roots: only threads without a parent; they are looked for among all that match.
            with_last_message: with the last that is not internal, in `last_message`; on files, a
                thread that is not in memory is read for it, as by `load`.

        Raises:
            InvalidValue: `after` is not a cursor of a listing in this order.
        """
        query = ListHeads(
            by=by,
            order=order,
            after=after,
            limit=limit,
            resource_id=resource_id,
            parent_thread_id=parent_thread_id,
            roots=roots,
            with_last_message=with_last_message,
        )
        return await self._backend.read(check_query(query, "list_heads"))

    async def list(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        resource_id: str | None = None,
        parent_thread_id: str | None = None,
    ) -> ThreadPage:
        """List the ids of the threads that match all filters, in order.

        `limit` is clamped to 1..200.
        """
        query = ListThreads(
            offset=offset, limit=limit, resource_id=resource_id, parent_thread_id=parent_thread_id
        )
        return await self._backend.read(check_query(query, "list"))

    async def list_messages(
        self,
        thread_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 50,
        order: Order = "asc",
        visibility: Visibility | None = "all",
        run_id: str | None = None,
    ) -> MessagePage:
        """Read a page of messages, by position.

        Args:
            thread_id: which thread.
            after: a position; only messages after it. For the next page, pass `next_cursor`.
            before: a position; only messages before it. For the next page when `order` is "desc",
                pass `next_cursor`.
            limit: how many at most, clamped to 1..200.
            order: "asc" begins with the first message, "desc" with the last one.
            visibility: "all" leaves out internal messages, "internal" all others; None reads both.
            run_id: only messages of this run (`MessageMetadata.run_id`).

        Raises:
            NotFound: the thread does not exist.
        """
        query = ListMessages(
            thread_id=thread_id,
            after=after,
            before=before,
            limit=limit,
            order=order,
            visibility=visibility,
            run_id=run_id,
        )
        return await self._backend.read(check_query(query, "list_messages"))

    async def message_count(self, thread_id: str) -> int:
        """Count a thread's messages, including internal ones.

        Raises:
            NotFound: the thread does not exist.
        """
        last = await self.list_messages(thread_id, order="desc", limit=1, visibility=None)
        return 0 if last.next_cursor is None else last.next_cursor + 1

    async def list_deltas(
        self, thread_id: str, after_version: int, *, limit: int | None = None
    ) -> tuple[ThreadDelta, ...] | None:
        """Read what was appended after version `after_version`, oldest first.

        None if the store does not know: the thread was saved as a whole since, another program
        wrote it, or it has never been at that version. Load the thread then.

        Args:
            thread_id: which thread.
            after_version: the version up to which the deltas are known.
            limit: how many deltas at most, clamped to 1..200; None: all.

        Raises:
            NotFound: the thread does not exist.
        """
        query = ListDeltas(thread_id=thread_id, after_version=after_version, limit=limit)
        return await self._backend.read(check_query(query, "list_deltas"))

    @overload
    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: Literal[False] = False
    ) -> AsyncGenerator[FollowedItem]: ...

    @overload
    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: bool
    ) -> AsyncGenerator[LiveItem]: ...

    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: bool = False
    ) -> AsyncGenerator[LiveItem]:
        """Follow a thread: `async for item in store.threads.follow("t", version): ...`.

        Each `ThreadDelta` after `after_version` comes once and in order, within milliseconds,
        whichever process made it; it has messages that the append skipped, too. To resume, pass the
        version of the last one. If deltas are not known, as for `list_deltas`, a `ThreadReset`
        brings the thread as a whole, and those after it follow. A `ThreadDeleted` is the last item.

        With `live`, what `store.live` publishes from then on comes between them, as `LiveValue`
        items: the tokens of an answer, and then the delta with the message. If both are there at
        once, the live value comes first. Values may be lost: see `Live`. `RunEnded` ends a turn.

        It ends with the store, or at `end_followers`. Changes of labels (`update`) are not deltas:
        `store.changes(thread_id=…)` says when to read `head` again. To do something while nothing
        comes, use `asyncio.wait` on a task of `anext`, as a cancelled `anext` ends it.

        Args:
            thread_id: which thread.
            after_version: the version up to which the deltas are known, such as that of `load`.
                None: the version that the thread has when the first item is awaited.
            live: whether live values come, too, from when the first item is awaited.

        Raises:
            InvalidId, InvalidValue: the arguments cannot be those of a thread.
            NotFound: the thread does not exist, when the first item is awaited.
            StoreUnavailable: other processes cannot be heard, when the first item is awaited.
        """
        from_now = after_version is None
        query = ListDeltas(thread_id=thread_id, after_version=after_version or 0)
        query = check_query(query, "follow")
        if type(live) is not bool:
            raise InvalidValue("follow.live", f"it must be a bool, not a {type(live).__name__}")
        if live:
            return self._following.follow_with_live(query, from_now=from_now)
        return self._following.follow(query, from_now=from_now)


def _change_set(changes: tuple[Message | ThreadChangeSet, ...]) -> ThreadChangeSet:
    if len(changes) == 1 and isinstance(changes[0], ThreadChangeSet):
        return changes[0]
    if not changes or not all(isinstance(item, Message) for item in changes):
        raise InvalidValue("append.changes", "pass messages, or one ThreadChangeSet")
    return ThreadChangeSet(messages=cast("tuple[Message, ...]", changes))
