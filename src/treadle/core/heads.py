"""Threads without their messages: summaries, changes of their labels, and checks in a batch."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.cursors import NO_TIME, CursorPage, Position, page_after, read_cursor
from treadle.core.ids import ThreadId
from treadle.core.limits import Bound, Count, Version
from treadle.core.message_times import MessageTimes
from treadle.core.messages import Message, StoredMessage
from treadle.core.pages import Order
from treadle.core.queries import Query
from treadle.core.read_set import ReadSet
from treadle.core.threads import (
    SET_BY_THE_STORE,
    Committed,
    FurtherKeys,
    Thread,
    ThreadHead,
    ThreadMetadata,
    ThreadRows,
    require_thread,
)
from treadle.errors import InvalidValue, shorten

NEWEST = 50
"""How many of the last messages of a thread are searched for one that everybody can see."""


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


HeadKey = Literal["id", "created_at", "updated_at"]
"""What a listing of heads is sorted by; threads of one time are sorted by their ids."""


class HeadPage(CursorPage[ThreadSummary], frozen=True, kw_only=True):
    """A page of a listing of heads."""


class HeadRows(ThreadRows, Protocol):
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


def merged(target: Json, patch: Json) -> Json:
    """Return a value after a JSON merge patch (RFC 7396): null removes a key."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result


def last_visible(messages: Sequence[Message], times: MessageTimes) -> StoredMessage | None:
    """The last message of a thread that everybody can see, if it is one of the last."""
    count = len(messages)
    for position in range(count - 1, max(count - NEWEST, 0) - 1, -1):
        message = messages[position]  # each is decoded when it is looked at
        if message.visibility == "all":
            time = times[position] if position < len(times) else None
            return StoredMessage(cursor=position, message=message, committed_at=time)
    return None


# --- commands -------------------------------------------------------------------------------------


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

    def apply(self, rows: HeadRows, now: int) -> Committed:
        """Put the thread with its new labels; its deltas stay known."""
        stored = require_thread(rows, self.thread_id, self.expected)
        thread = self._updated(rows.find_labels(self.thread_id), now)
        head = msgspec.structs.replace(stored.head, thread=thread)
        rows.threads.put(self.thread_id, msgspec.structs.replace(stored, head=head))
        return Committed(version=head.version)

    def _updated(self, thread: Thread, now: int) -> Thread:
        metadata = msgspec.structs.replace(thread.metadata, updated_at=now)
        if self.metadata is not UNSET:
            extra = merged(metadata.extra, self.metadata)
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


# --- queries --------------------------------------------------------------------------------------


class LoadHead(Query[ThreadSummary | None], frozen=True, kw_only=True):
    """A thread without its messages, or None."""

    thread_id: ThreadId

    def answer(self, rows: HeadRows, now: int) -> ThreadSummary | None:
        """Look it up."""
        return rows.find_summary(self.thread_id)


class ListHeads(Query[HeadPage], frozen=True, kw_only=True):
    """A page of the threads that match all filters, without their messages, or with the last."""

    by: HeadKey = "id"
    order: Order = "asc"
    after: str | None = None
    """The cursor of a page in the same order; the next page begins after it."""
    limit: Bound = 50
    resource_id: str | None = None
    parent_thread_id: ThreadId | None = None
    roots: bool = False
    """Only threads without a parent."""
    with_last_message: bool = False
    """Whether each summary has its `last_message`."""

    def check(self, where: str) -> None:
        """Refuse a cursor of another listing."""
        self.start(where)

    def start(self, where: str = "list_heads") -> Position[HeadKey] | None:
        """Return the position after which the page begins; None is the beginning.

        Raises:
            InvalidValue: `after` is not a cursor of this listing.
        """
        return read_cursor(Position[HeadKey], self.after, self.by, f"{where}.after")

    def position_of(self, summary: ThreadSummary) -> Position[HeadKey]:
        """Return the position of a thread in this listing."""
        time = None if self.by == "id" else getattr(summary.metadata, self.by)
        return Position(self.by, sortable(time), summary.id)

    def answer(self, rows: HeadRows, now: int) -> HeadPage:
        """Filter, sort, cut."""
        summaries = rows.find_summaries(self.resource_id, self.parent_thread_id)
        matching = [
            (self.position_of(summary), summary)
            for summary in summaries
            if not self.roots or summary.parent_thread_id is None
        ]
        page = page_after(HeadPage, self.start(), matching, self.order, self.limit)
        items = page.items
        if self.with_last_message:
            items = tuple(
                msgspec.structs.replace(each, last_message=rows.find_last_message(each.id))
                for each in items
            )
        unreadable = tuple(rows.threads.unreadable())  # a message may be found to be damaged
        return msgspec.structs.replace(page, items=items, unreadable=unreadable)
