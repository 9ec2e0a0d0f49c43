"""Summaries of threads: each without its messages, and listings in pages by a cursor."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from treadle.core.codec import SortedModel, always_encoded, encode
from treadle.core.cursors import (
    NO_TIME,
    CursorPage,
    Position,
    cursor_of,
    page_after,
    read_cursor,
)
from treadle.core.ids import ThreadId
from treadle.core.limits import Bound, Count, Version
from treadle.core.message_times import MessageTimes
from treadle.core.messages import Message, StoredMessage
from treadle.core.pages import Order
from treadle.core.queries import Query
from treadle.core.threads import (
    Thread,
    ThreadHead,
    ThreadMetadata,
    ThreadRows,
)

NEWEST = 50
"""How many of the last messages of a thread are searched for one that everybody can see."""

LAST_MESSAGES = 2**20
"""How much the last messages of a page take at most, in bytes of JSON, unless it has one thread."""


class ThreadSummary(SortedModel, frozen=True, kw_only=True):
    """A thread without its messages, its state, its patches and its unknown fields."""

    id: ThreadId
    resource_id: str | None = None
    """The owner, such as a user."""
    parent_thread_id: ThreadId | None = None
    metadata: ThreadMetadata = always_encoded(ThreadMetadata())
    version: Version
    message_count: Count
    """How many messages the thread has, internal ones too."""
    last_message: StoredMessage | None = None
    """The last message that is not internal, as a whole, if a listing was asked for it.

    None if the last 50 are all internal, or if it cannot be read.
    """


ThreadKey = Literal["id", "created_at", "updated_at"]
"""What a listing of summaries is sorted by; threads of one time are sorted by their ids."""


class ThreadSummaryPage(CursorPage[ThreadSummary], frozen=True, kw_only=True):
    """A page of a listing of threads' summaries."""


class SummaryRows(ThreadRows, Protocol):
    """The rows that commands and queries about labels and summaries need."""

    def find_labels(self, thread_id: str) -> Thread:
        """A thread with its owner, parent and metadata; a database loads nothing else of it."""
        ...

    def find_summaries(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[ThreadSummary]:
        """The summaries of the threads with this owner and this parent; None matches all."""
        ...

    def find_summary(self, thread_id: str) -> ThreadSummary | None:
        """The summary of a thread, or None if it does not exist."""
        ...

    def find_last_message(self, thread_id: str) -> StoredMessage | None:
        """The last message of a thread that everybody can see; None, too, if it is damaged."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def summarized(head: ThreadHead) -> ThreadSummary:
    """The summary of a thread."""
    thread = head.thread
    return ThreadSummary(
        id=thread.id,
        resource_id=thread.resource_id,
        parent_thread_id=thread.parent_thread_id,
        metadata=thread.metadata,
        version=head.version,
        message_count=len(thread.messages),
    )


def sortable(time: int | None) -> int:
    """A time of a thread as listings sort by it: a thread without one comes before the others."""
    return NO_TIME if time is None else time


def same_labels(one: Thread, other: Thread) -> bool:
    """Return True if no update of the labels lies between two rows of one origin."""
    return (
        one.resource_id == other.resource_id
        and one.parent_thread_id == other.parent_thread_id
        # By identity: an append keeps the object, an update makes another, and 1 == 1.0.
        and one.metadata.extra is other.metadata.extra
    )


def last_visible(messages: Sequence[Message], times: MessageTimes) -> StoredMessage | None:
    """The last message of a thread that everybody can see, if it is one of the last."""
    count = len(messages)
    for position in range(count - 1, max(count - NEWEST, 0) - 1, -1):
        message = messages[position]  # each is decoded when it is looked at
        if message.visibility == "all":
            time = times[position] if position < len(times) else None
            return StoredMessage(cursor=position, message=message, committed_at=time)
    return None


# --- queries --------------------------------------------------------------------------------------


class LoadThreadSummary(Query[ThreadSummary | None], frozen=True, kw_only=True):
    """A thread without its messages, or None."""

    thread_id: ThreadId

    def answer(self, rows: SummaryRows, now: int) -> ThreadSummary | None:
        """Look it up."""
        return rows.find_summary(self.thread_id)


class ListThreadSummaries(Query[ThreadSummaryPage], frozen=True, kw_only=True):
    """A page of the threads that match all filters, without their messages, or with the last."""

    by: ThreadKey = "id"
    order: Order = "asc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins after it."""
    limit: Bound = 50
    resource_id: str | None = None
    parent_thread_id: ThreadId | None = None
    roots: bool = False
    """Only threads without a parent."""
    with_last_message: bool = False
    """Whether each summary has its `last_message`.

    The page ends before its `limit` if its messages would take more than 1 MiB of JSON together.
    """

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "list_summaries") -> Position[ThreadKey] | None:
        """Return the position after which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is not a cursor of this listing.
        """
        return read_cursor(Position[ThreadKey], self.after, self.by, f"{where}.after")

    def position_of(self, summary: ThreadSummary) -> Position[ThreadKey]:
        """Return the position of a thread in this listing."""
        time = None if self.by == "id" else getattr(summary.metadata, self.by)
        return Position(self.by, sortable(time), summary.id)

    def answer(self, rows: SummaryRows, now: int) -> ThreadSummaryPage:
        """Filter, sort, cut."""
        summaries = rows.find_summaries(self.resource_id, self.parent_thread_id)
        matching = [
            (self.position_of(summary), summary)
            for summary in summaries
            if not self.roots or summary.parent_thread_id is None
        ]
        page = page_after(ThreadSummaryPage, self.start(), matching, self.order, self.limit)
        if self.with_last_message:
            page = self.with_messages(page, rows.find_last_message)
        unreadable = tuple(rows.threads.unreadable())  # a message may be found to be damaged
        return msgspec.structs.replace(page, unreadable=unreadable)

    def with_messages(
        self, page: ThreadSummaryPage, find: Callable[[str], StoredMessage | None]
    ) -> ThreadSummaryPage:
        """Return a page with last messages, which ends where they would take too much."""
        items: list[ThreadSummary] = []
        room = LAST_MESSAGES
        for each in page.items:
            message = find(each.id)
            room -= 0 if message is None else len(encode(message))
            if room < 0 and items:
                cursor = cursor_of(self.position_of(items[-1]))
                return msgspec.structs.replace(page, items=tuple(items), next_cursor=cursor)
            items.append(msgspec.structs.replace(each, last_message=message))
        return msgspec.structs.replace(page, items=tuple(items))
