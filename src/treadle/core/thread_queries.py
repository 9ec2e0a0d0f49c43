"""Queries about threads: as a whole, their messages in pages, their ids, their deltas."""

from treadle.core.ids import RunId, ThreadId
from treadle.core.limits import LARGEST_TIME, Bound, clamp_page
from treadle.core.messages import Message, MessagePage, Visibility, page_messages
from treadle.core.pages import Order, PageQuery, page_of
from treadle.core.queries import Query
from treadle.core.thread_versions import as_of
from treadle.core.threads import (
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    ThreadRows,
    require_thread,
)


class LoadThread(Query[ThreadHead | None], frozen=True, kw_only=True):
    """A thread as a whole, as it is or as it was at `version`, or None."""

    thread_id: ThreadId
    version: Bound | None = None

    def answer(self, rows: ThreadRows, now: int) -> ThreadHead | None:
        """Look it up, and go back to the version."""
        if rows.threads.get(self.thread_id) is None:
            return None
        whole = rows.find_whole(self.thread_id)
        if self.version is None:
            return whole
        return as_of(whole, rows.find_steps(self.thread_id), self.version)


class ListMessages(Query[MessagePage], frozen=True, kw_only=True):
    """A page of the messages of a thread between two cursors, both excluded."""

    thread_id: ThreadId
    after: Bound | None = None
    before: Bound | None = None
    limit: Bound = 50
    order: Order = "asc"
    visibility: Visibility | None = "all"
    run_id: RunId | None = None

    def answer(self, rows: ThreadRows, now: int) -> MessagePage:
        """Cut the page; fail with `NotFound` without the thread."""
        require_thread(rows, self.thread_id)
        messages, times = rows.find_messages(self.thread_id)
        return page_messages(
            messages,
            times,
            after=self.after,
            before=self.before,
            limit=self.limit,
            order=self.order,
            matches=self.matches,
        )

    def matches(self, message: Message) -> bool:
        """Return whether `message` passes the filters."""
        if self.visibility is not None and message.visibility != self.visibility:
            return False
        if self.run_id is None:
            return True
        return message.metadata is not None and message.metadata.run_id == self.run_id


class ListThreads(PageQuery[ThreadPage], frozen=True, kw_only=True):
    """A page of the ids of the threads that match all filters, in order of their ids."""

    resource_id: str | None = None
    parent_thread_id: ThreadId | None = None

    def answer(self, rows: ThreadRows, now: int) -> ThreadPage:
        """Filter, sort, cut."""
        matching = rows.find_thread_ids(self.resource_id, self.parent_thread_id)
        return page_of(ThreadPage, sorted(matching), self)


class ListDeltas(Query[tuple[ThreadDelta, ...] | None], frozen=True, kw_only=True):
    """The deltas of a thread since `after_version`, oldest first; None if not all are known."""

    thread_id: ThreadId
    after_version: Bound
    limit: Bound | None = None
    """How many at most, clamped to 1..200; None: all."""

    @property
    def until_version(self) -> int:
        """The version up to which deltas are wanted."""
        if self.limit is None:
            return LARGEST_TIME
        return min(self.after_version + clamp_page(self.limit), LARGEST_TIME)

    def answer(self, rows: ThreadRows, now: int) -> tuple[ThreadDelta, ...] | None:
        """Look them up; fail with `NotFound` without the thread."""
        require_thread(rows, self.thread_id)
        return rows.find_deltas(self.thread_id, self.after_version, self.until_version)
