"""Written by `make twin` from `treadle.store.threads`: change that, not this."""

from collections.abc import Generator
from typing import Literal, overload

from treadle.blocking._portal import Portal
from treadle.blocking._thread_writes import ThreadWrites
from treadle.core.following import FollowedItem, LiveItem
from treadle.core.messages import MessagePage, Visibility
from treadle.core.pages import Order
from treadle.core.thread_summaries import ThreadKey, ThreadSummary, ThreadSummaryPage
from treadle.core.threads import ThreadDelta, ThreadHead, ThreadPage
from treadle.store import threads as original


class Threads(ThreadWrites):
    """Conversations: created, appended to, read in pages."""

    def __init__(self, reads: original.Threads, portal: Portal) -> None:
        super().__init__(reads, portal)
        self._reads = reads

    def load(self, thread_id: str, *, version: int | None = None) -> ThreadHead | None:
        """Read a thread as a whole with its version; None if it does not exist.

        With `version` it is the thread as it was then: its messages and their times, its state and
        patches. Owner, parent and metadata are the present ones, because they have no versions.
        None if that version is not known: it is yet to come, or comes before a save (see
        `list_deltas`), or a later snapshot has replaced a state that no earlier one began.

        Raises:
            CorruptRecord: it cannot be read.
        """
        return self._portal.call(self._reads.load(thread_id, version=version))

    def summary(self, thread_id: str) -> ThreadSummary | None:
        """Read a thread without its messages, its state and its patches; None if it does not exist.

        A summary has the owner, the parent, the metadata, the version and the number of messages.
        It costs the same however long the thread is, except on files, where a thread that is not in
        memory is read from its JSON file.

        Raises:
            CorruptRecord: it cannot be read.
        """
        return self._portal.call(self._reads.summary(thread_id))

    def list_summaries(
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
        return self._portal.call(
            self._reads.list_summaries(
                by=by,
                order=order,
                after=after,
                limit=limit,
                resource_id=resource_id,
                parent_thread_id=parent_thread_id,
                roots=roots,
                with_last_message=with_last_message,
            )
        )

    def list(
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
        return self._portal.call(
            self._reads.list(
                offset=offset,
                limit=limit,
                resource_id=resource_id,
                parent_thread_id=parent_thread_id,
            )
        )

    def list_messages(
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
        return self._portal.call(
            self._reads.list_messages(
                thread_id,
                after=after,
                before=before,
                limit=limit,
                order=order,
                visibility=visibility,
                run_id=run_id,
            )
        )

    def message_count(self, thread_id: str) -> int:
        """Count a thread's messages, including internal ones.

        Raises:
            NotFound: the thread does not exist.
        """
        return self._portal.call(self._reads.message_count(thread_id))

    def list_deltas(
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
        return self._portal.call(self._reads.list_deltas(thread_id, after_version, limit=limit))

    @overload
    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: Literal[False] = False,
        idle_ms: None = None,
    ) -> Generator[FollowedItem, None, None]: ...

    @overload
    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: bool, idle_ms: None = None
    ) -> Generator[LiveItem, None, None]: ...

    @overload
    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: Literal[False] = False,
        idle_ms: int,
    ) -> Generator[FollowedItem | None, None, None]: ...

    @overload
    def follow(
        self, thread_id: str, after_version: int | None = None, *, live: bool, idle_ms: int
    ) -> Generator[LiveItem | None, None, None]: ...

    def follow(
        self,
        thread_id: str,
        after_version: int | None = None,
        *,
        live: bool = False,
        idle_ms: int | None = None,
    ) -> Generator[LiveItem | None, None, None]:
        """Follow a thread: `for item in store.threads.follow("t", version): ...`.

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
                None: the version that the thread has when the first item is asked for.
            live: whether live values come, too, from when the first item is asked for.
            idle_ms: None comes each time nothing has come for so long, so that a server can write
                a sign of life, and sees whether the client is still there.

        Raises:
            InvalidId, InvalidValue: the arguments cannot be those of a thread.
            NotFound: the thread does not exist, when the first item is asked for.
            StoreUnavailable: other processes cannot be heard, when the first item is asked for.
        """
        return self._portal.iterate(
            self._reads.follow(thread_id, after_version, live=live, idle_ms=idle_ms)
        )
