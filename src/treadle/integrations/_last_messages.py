"""The last messages of a thread, with the version that guards what is decided by them."""

from collections.abc import Callable
from typing import NamedTuple

from treadle import Message, NotFound, Store
from treadle.queries import ListMessages, LoadThreadSummary

PAGE = 200
"""Most messages that one query gives."""
_ATTEMPTS = 5
"""Each needs another change of the thread between two reads."""


class LastMessages(NamedTuple):
    """Messages at the end of a thread, which is at `version`."""

    version: int
    """0 if there is no thread, or one to which nothing was ever appended."""
    messages: list[tuple[int, Message]]
    """Each with its position, oldest first."""


async def load_last_messages(
    store: Store,
    thread_id: str,
    count: int | None,
    *,
    before: int | None = None,
    is_whole: Callable[[Message], bool] = lambda _: True,
) -> LastMessages:
    """Read the last messages of a thread, all at one version.

    It takes one read, or two for more than 200 messages, and more only while others write.

    Args:
        store: the store.
        thread_id: the thread; it may not exist.
        count: how many at most; None: all.
        before: only messages before this position.
        is_whole: which messages count; the others are left out.

    Raises:
        CorruptRecord: the thread cannot be read.
    """
    most = count
    while True:
        found = await _load(store, thread_id, most, before)
        kept = [each for each in found.messages if is_whole(each[1])]
        if count is None or most is None:
            return LastMessages(found.version, kept)
        if len(kept) >= count or len(found.messages) < most:
            return LastMessages(found.version, kept[-count:] if count else [])
        most += count - len(kept)


async def _load(
    store: Store, thread_id: str, count: int | None, before: int | None
) -> LastMessages:
    for _ in range(0 if count is None else _ATTEMPTS):
        try:
            found = await _load_pages(store, thread_id, count or 0, before)
        except NotFound:
            return LastMessages(0, [])
        if found is not None:
            return found
    whole = await store.threads.load(thread_id)
    if whole is None:
        return LastMessages(0, [])
    messages = list(enumerate(whole.thread.messages))[:before]
    return LastMessages(whole.version, messages if count is None else messages[-count:])


def newest_page(thread_id: str, count: int, before: int | None = None) -> ListMessages:
    """Return the query for the last messages of a thread, at most 200, newest first."""
    return ListMessages(
        thread_id=thread_id,
        before=before,
        limit=min(count, PAGE),
        order="desc",
        visibility=None,
    )


def older_pages(thread_id: str, count: int, before: int) -> list[ListMessages]:
    """Return the queries for the messages in front of a position, to be asked together."""
    starts = range(before, max(before - count, 0), -PAGE)
    return [newest_page(thread_id, count - (before - start), start) for start in starts]


async def _load_pages(
    store: Store, thread_id: str, count: int, before: int | None
) -> LastMessages | None:
    """Read the last messages; None if the thread has changed between two reads."""
    load_head = LoadThreadSummary(thread_id=thread_id)
    head, page = await store.read(load_head, newest_page(thread_id, count, before))
    if head is None:
        return LastMessages(0, [])
    found = list(page.messages)
    if page.has_more and len(found) < count:
        older = older_pages(thread_id, count - len(found), found[-1].cursor)
        now, *pages = await store.read(load_head, *older)
        if now is None or now.version != head.version:
            return None
        found += [each for page in pages for each in page.messages]
    return LastMessages(head.version, [(m.cursor, m.message) for m in reversed(found)])
