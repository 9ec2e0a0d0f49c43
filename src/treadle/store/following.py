"""Following a thread: its deltas as they come, each version once and in order."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, assert_never

import msgspec

from treadle.backends.base import Backend
from treadle.core.codec import Json
from treadle.core.following import (
    FollowedItem,
    LiveItem,
    LiveValue,
    RunEnded,
    ThreadDeleted,
    ThreadReset,
)
from treadle.core.hints import Hint
from treadle.core.limits import PAGE
from treadle.core.queries import Together
from treadle.core.shown_runs import ShownRuns
from treadle.core.thread_queries import ListDeltas, LoadThread
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.core.threads import ThreadDelta
from treadle.errors import NotFound, StoreClosed
from treadle.store.changes import listen
from treadle.store.ending import Followers
from treadle.store.live import Live
from treadle.store.merging import merged

LOOK_SECONDS = 10.0
"""How often to look without a hint: one may be lost with the process that should give it."""


class Following:
    """What follows the threads of a store.

    Args:
        backend: the store's.
        live: the live values that come between the deltas, if they are asked for.
        followers: those who wait, so that they can be ended.
    """

    def __init__(self, backend: Backend, live: Live, followers: Followers) -> None:
        self._backend = backend
        self._live = live
        self._followers = followers

    async def follow(
        self, query: ListDeltas, *, from_now: bool = False
    ) -> AsyncGenerator[FollowedItem]:
        """Yield what happens to a thread after a version, until it is deleted or followers end.

        With `from_now`, that is the version of the thread when the first item is awaited.

        Raises:
            NotFound: the thread does not exist.
        """
        async with aclosing(self._followed(query, from_now, None)) as items:
            async for item in items:
                if not isinstance(item, RunEnded):
                    yield item

    async def _followed(
        self, query: ListDeltas, from_now: bool, shown: ShownRuns | None
    ) -> AsyncGenerator[FollowedItem | RunEnded]:
        """Yield what `follow` yields, and after it which of the runs that are shown have ended."""
        query = msgspec.structs.replace(query, limit=PAGE)
        listener = listen(self._backend, frozenset({Hint(kind="thread", id=query.thread_id)}))
        is_known = has_more = False
        try:
            while True:
                try:
                    seconds = 0.0 if has_more else LOOK_SECONDS
                    await self._followers.wait_for(partial(listener.next, seconds))
                    if from_now and not is_known:
                        query = await _from_present(self._backend, query)
                    items, runs = await _news(self._backend, query, shown)
                except StoreClosed:
                    return
                except NotFound:
                    if not is_known:
                        raise
                    items, runs = (ThreadDeleted(thread_id=query.thread_id),), ()
                is_known, has_more = True, len(items) == PAGE
                for item in items:
                    yield item
                    version = _version_after(item)
                    if version is None:
                        return
                    query = msgspec.structs.replace(query, after_version=version)
                    end = _note_delta(shown, item)
                    if end is not None:
                        yield end
                # A run may have ended after the deltas of a page.
                for end in () if shown is None or has_more else shown.ended(runs):
                    yield end
        finally:
            listener.stop()

    async def follow_with_live(
        self, query: ListDeltas, *, from_now: bool = False
    ) -> AsyncGenerator[LiveItem]:
        """Yield what `follow` yields, the live values of the thread, and the ends of its turns.

        Raises:
            NotFound: the thread does not exist.
            StoreUnavailable: other processes cannot be heard.
        """
        async with self._live.follow(query.thread_id) as values:
            shown = ShownRuns(query.thread_id)
            deltas = self._followed(query, from_now, shown)
            # The live values come first, so that a piece of a message is shown before the message.
            sources: list[AsyncGenerator[LiveItem]] = [as_items(values), deltas]
            async with aclosing(merged(sources)) as items:
                async for item in items:
                    if isinstance(item, LiveValue):
                        shown.note_live(item.value)
                    if item is not None:
                        yield item


async def as_items(values: AsyncGenerator[Json]) -> AsyncGenerator[LiveValue]:
    """Yield live values as items of their own kind, which a value cannot imitate."""
    async for value in values:
        yield LiveValue(value=value)


def _version_after(item: FollowedItem) -> int | None:
    """The version of the thread after an item; None if it was deleted."""
    match item:
        case ThreadDelta():
            return item.version
        case ThreadReset():
            return item.head.version
        case ThreadDeleted():
            return None
        case _:
            assert_never(item)


def _note_delta(shown: ShownRuns | None, item: FollowedItem) -> RunEnded | None:
    """Note a delta for the runs that are shown; return the end of one that it brings."""
    if shown is None or not isinstance(item, ThreadDelta):
        return None
    return shown.note_delta(item)


async def _from_present(backend: Backend, query: ListDeltas) -> ListDeltas:
    """Return the query for what comes after the present version.

    Raises:
        NotFound: the thread does not exist.
    """
    summary = await backend.read(LoadThreadSummary(thread_id=query.thread_id))
    if summary is None:
        raise NotFound("thread", query.thread_id)
    return msgspec.structs.replace(query, after_version=summary.version)


async def _news(
    backend: Backend, query: ListDeltas, shown: ShownRuns | None
) -> tuple[Sequence[FollowedItem], Sequence[Any]]:
    """What happened to the thread after a version, and what is known of the runs that are shown.

    Raises:
        NotFound: the thread does not exist.
    """
    more = () if shown is None else shown.queries()
    deltas, *runs = await backend.read(Together(queries=(query, *more)))
    if deltas is not None:
        return deltas, runs
    head = await backend.read(LoadThread(thread_id=query.thread_id))
    if head is None:
        raise NotFound("thread", query.thread_id)
    return (ThreadReset(head=head),), runs
