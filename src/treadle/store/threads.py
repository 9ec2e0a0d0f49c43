"""Threads, as a user of a store sees them."""

from collections.abc import AsyncGenerator
from typing import Literal, overload

from treadle.backends.base import Backend
from treadle.core.following import FollowedItem, LiveItem
from treadle.core.messages import MessagePage, Visibility
from treadle.core.pages import Order
from treadle.core.queries import check_query
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.thread_summaries import (
    ListThreadSummaries,
    LoadThreadSummary,
    ThreadKey,
    ThreadSummary,
    ThreadSummaryPage,
)
from treadle.core.threads import (
    ThreadDelta,
    ThreadHead,
    ThreadPage,
)
from treadle.errors import InvalidValue
from treadle.store.following import Following
from treadle.store.idling import check_idle, with_idle
from treadle.store.thread_writes import ThreadWrites
from treadle.store.writes import NewWrite


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

    async def summary(self, thread_id: str) -> ThreadSummary | None:
        """Read a thread without its messages, its state and its patches; None if it does not exist.

        A summary has the owner, the parent, the metadata, the version and the number of messages.
        It costs the same however long the thread is, except on files, where a thread that is not in
        memory is read from its JSON file.

        Raises:
            CorruptRecord: it cannot be read.
        """
        return await self._backend.read(
            check_query(LoadThreadSummary(thread_id=thread_id), "summary")
        )

    async def list_summaries(
        self,
        *,
        by: ThreadKey = "id",
        order: Order = "asc",
        after: str | None = None,
        limit: int = 50,
        resource_id: str | None = None,
        parent_thread_id: str | None = None,
        roots: bool = False,
        with_last_message: bool = False,
    ) -> ThreadSummaryPage:
        """List the summaries of the threads that match all filters, in pages by a cursor.

        The newest threads of a user, as in an inbox, from one snapshot:
        ``list_summaries(by="updated_at", order="desc", resource_id=user, with_last_message=True)``.

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
            with_last_message: with the last that is not internal, in `last_message`. If these take
                more than 1 MiB of JSON, the page ends before `limit`, but has one thread at least.
                On files, a thread that is not in memory is read for it, as by `load`.

        Raises:
            InvalidValue: `after` is not a cursor of a listing in this order.
        """
        query = ListThreadSummaries(
            by=by,
            order=order,
            after=after,
            limit=limit,
            resource_id=resource_id,
            parent_thread_id=parent_thread_id,
            roots=roots,
            with_last_message=with_last_message,
        )
        return await self._backend.read(check_query(query, "list_summaries"))

    async def list(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        resource_id: str | None = None,
        parent_thread_id: str | None = None,
    ) -> ThreadPage:
        """List the ids of the threads that match all filters, in order.

        For a list that people see, take `list_summaries`: it sorts by time, too, and has a cursor.

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
            visibility: "all" is what everybody may see, so it leaves out internal messages;
                "internal" reads only these, and None reads both.
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
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: Literal[False] = False,
        idle_ms: None = None,
    ) -> AsyncGenerator[FollowedItem]: ...

    @overload
    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: bool,
        idle_ms: None = None,
    ) -> AsyncGenerator[LiveItem]: ...

    @overload
    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: Literal[False] = False,
        idle_ms: int,
    ) -> AsyncGenerator[FollowedItem | None]: ...

    @overload
    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: bool, idle_ms: int
    ) -> AsyncGenerator[LiveItem | None]: ...

    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: bool = False,
        idle_ms: int | None = None,
    ) -> AsyncGenerator[LiveItem | None]:
        """Follow a thread: `async for item in store.threads.follow("t", version): ...`.

        Each `ThreadDelta` after `after_version` comes once and in order, within milliseconds,
        whichever process made it; it has messages that the append skipped, too. To resume, pass the
        version of the last one. If deltas are not known, as for `list_deltas`, a `ThreadReset`
        brings the thread as a whole, and those after it follow. A `ThreadDeleted` is the last item.
        A thread that is created again in the same moment with as many versions looks like the one
        before, so give a new conversation a new id.

        With `live`, what `store.live` publishes from then on comes between them, as `LiveValue`
        items: the tokens of an answer, and then the delta with the message. If both are there at
        once, the live value comes first. Values may be lost: see `Live`. `RunEnded` ends a turn.

        It ends with the store, or at `end_followers`. Changes of labels (`update`) are not deltas:
        `store.changes(thread_id=…)` says when to read `summary` again.

        Args:
            thread_id: which thread.
            after_version: the version up to which the deltas are known, such as that of `load`.
                None: the version that the thread has when the first item is awaited.
            live: whether live values come, too, from when the first item is awaited.
            idle_ms: None comes each time nothing has come for so long, so that a server can write
                a sign of life, and sees whether the client is still there.

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
        check_idle("follow.idle_ms", idle_ms)
        follow = self._following.follow_with_live if live else self._following.follow
        return with_idle(follow(query, from_now=from_now), idle_ms)
