"""Threads, as a user of a store sees them."""

from treadle.backends.base import Backend
from treadle.core.codec import check_integer, checked
from treadle.core.ids import check_id, check_optional_id
from treadle.core.messages import MessagePage, Visibility
from treadle.core.threads import (
    Committed,
    MessageQuery,
    Order,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    ThreadQuery,
)
from treadle.store.batch import BatchThreads, Write
from treadle.store.writer import Writer


class Threads:
    """Conversations: created, appended to, read in pages.

    Writes take `now`, the present in unix milliseconds; the default is the store's clock.
    """

    def __init__(self, backend: Backend, write: Writer) -> None:
        self._backend = backend
        self._write = write
        self._writes = BatchThreads(Write)

    async def create(self, thread: Thread, *, now: int | None = None) -> Committed:
        """Make a new thread, at version 0.

        Raises:
            AlreadyExists: the id is taken.
            InvalidId, InvalidValue: the thread cannot be stored; the message names the place.
        """
        return await self._write(self._writes.create(thread, now=now))

    async def ensure(self, thread: Thread, *, now: int | None = None) -> Committed:
        """Make a thread if there is none of its id; one that is there stays as it is.

        Returns the version that it has then.

        Raises:
            InvalidId, InvalidValue: the thread cannot be stored; the message names the place.
        """
        return await self._write(self._writes.ensure(thread, now=now))

    async def append(
        self,
        thread_id: str,
        changes: ThreadChangeSet,
        *,
        expected: int | None = None,
        now: int | None = None,
    ) -> Committed:
        """Add messages and patches to a thread, and record the run they belong to.

        With `expected`, only if the thread is still at that version. `ThreadChangeSet.apply_to`
        says what changes.

        Raises:
            NotFound: there is no such thread.
            VersionConflict: the thread is at another version than `expected`.
            InvalidId, InvalidValue: the changes cannot be stored; the message names the place.
        """
        return await self._write(
            self._writes.append(thread_id, changes, expected=expected, now=now)
        )

    async def save(self, thread: Thread, *, now: int | None = None) -> Committed:
        """Put a thread as a whole, new (version 0) or in place of the old (one version on).

        Raises:
            InvalidId, InvalidValue: the thread cannot be stored; the message names the place.
        """
        return await self._write(self._writes.save(thread, now=now))

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread; its runs and its mailbox stay. Returns whether it was there."""
        return await self._write(self._writes.delete(thread_id))

    async def load(self, thread_id: str) -> ThreadHead | None:
        """Read a thread as a whole with its version, or None if there is none.

        Raises:
            CorruptRecord: its document cannot be read.
        """
        return await self._backend.load_thread(check_id("thread", thread_id))

    async def messages(
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
            thread_id: whose messages.
            after: a position; only what follows it. To go on, pass the page's `next_cursor`.
            before: a position; only what precedes it. To go on when `order` is "desc", pass the
                page's `next_cursor`.
            limit: how many at most, clamped to 1..200.
            order: "asc" begins with the first message, "desc" with the last one.
            visibility: "all" leaves out internal messages, "internal" all others; None reads both.
            run_id: only what this run has written (`MessageMetadata.run_id`).

        Raises:
            NotFound: there is no such thread.
        """
        query = MessageQuery(
            thread_id=check_id("thread", thread_id),
            after=after,
            before=before,
            limit=limit,
            order=order,
            visibility=visibility,
            run_id=run_id,
        )
        check_optional_id("run", run_id)
        return await self._backend.list_messages(checked(query, "messages"))

    async def message_count(self, thread_id: str) -> int:
        """Count a thread's messages, internal ones too.

        Raises:
            NotFound: there is no such thread.
        """
        last = await self.messages(thread_id, order="desc", limit=1, visibility=None)
        return 0 if last.next_cursor is None else last.next_cursor + 1

    async def list(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        resource_id: str | None = None,
        parent_thread_id: str | None = None,
    ) -> ThreadPage:
        """List thread ids in order; `limit` is clamped to 1..200.

        With `resource_id` and `parent_thread_id` only threads that have both.
        """
        query = ThreadQuery(
            offset=offset, limit=limit, resource_id=resource_id, parent_thread_id=parent_thread_id
        )
        check_optional_id("thread", parent_thread_id)
        return await self._backend.list_threads(checked(query, "list"))

    async def deltas(self, thread_id: str, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """What was appended since `after_version` (excluded), oldest first.

        None means that the store does not know any more, because the thread was saved as a whole
        or written by another program meanwhile, or has never been at that version: load it.

        Raises:
            NotFound: there is no such thread.
        """
        check_id("thread", thread_id)
        return await self._backend.list_deltas(
            thread_id, check_integer("deltas.after_version", after_version)
        )
