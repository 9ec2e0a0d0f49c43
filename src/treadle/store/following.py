"""Following a thread: its deltas as they come, each version once and in order."""

from collections.abc import AsyncGenerator, Sequence
from typing import assert_never

import msgspec

from treadle.backends.base import Backend
from treadle.core.following import FollowedItem, ThreadDeleted, ThreadReset
from treadle.core.heads import LoadHead
from treadle.core.hints import Hint
from treadle.core.thread_queries import ListDeltas, LoadThread
from treadle.core.threads import ThreadDelta
from treadle.errors import NotFound, StoreClosed
from treadle.store.changes import listen

LOOK_SECONDS = 10.0
"""How often to look without a hint: one may be lost with the process that was to give it."""


async def follow(
    backend: Backend, query: ListDeltas, *, from_now: bool = False
) -> AsyncGenerator[FollowedItem]:
    """Yield what happens to a thread after a version, until it is deleted or the store is closed.

    With `from_now`, that is the version of the thread when the first item is awaited.

    Raises:
        NotFound: the thread does not exist.
    """
    listener = listen(backend, frozenset({Hint(kind="thread", id=query.thread_id)}))
    is_known = False
    try:
        while True:
            try:
                await listener.next(LOOK_SECONDS)
                if from_now and not is_known:
                    query = await _from_present(backend, query)
                items = await _news(backend, query)
            except StoreClosed:
                return
            except NotFound:
                if not is_known:
                    raise
                items = (ThreadDeleted(thread_id=query.thread_id),)
            is_known = True
            for item in items:
                yield item
                match item:
                    case ThreadDelta():
                        query = msgspec.structs.replace(query, after_version=item.version)
                    case ThreadReset():
                        query = msgspec.structs.replace(query, after_version=item.head.version)
                    case ThreadDeleted():
                        return
                    case _:
                        assert_never(item)
    finally:
        listener.stop()


async def _from_present(backend: Backend, query: ListDeltas) -> ListDeltas:
    """Return the query for what comes after the present version.

    Raises:
        NotFound: the thread does not exist.
    """
    head = await backend.read(LoadHead(thread_id=query.thread_id))
    if head is None:
        raise NotFound("thread", query.thread_id)
    return msgspec.structs.replace(query, after_version=head.version)


async def _news(backend: Backend, query: ListDeltas) -> Sequence[FollowedItem]:
    """What happened to the thread after a version.

    Raises:
        NotFound: the thread does not exist.
    """
    deltas = await backend.read(query)
    if deltas is not None:
        return deltas
    head = await backend.read(LoadThread(thread_id=query.thread_id))
    if head is None:
        raise NotFound("thread", query.thread_id)
    return (ThreadReset(head=head),)
