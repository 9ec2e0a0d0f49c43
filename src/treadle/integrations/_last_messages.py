"""The last messages of a thread, with the version that guards what is decided by them."""

from typing import NamedTuple

from treadle import Message, NotFound, Store
from treadle.queries import ListMessages, LoadHead

_PAGE = 200
"""Most messages that one query gives."""


class LastMessages(NamedTuple):
    """Messages at the end of a thread, which is at `version`."""

    version: int
    """0 if there is no thread, or one to which nothing was ever appended."""
    messages: list[tuple[int, Message]]
    """Each with its position, oldest first."""


async def load_last_messages(
    store: Store, thread_id: str, count: int | None, *, before: int | None = None
) -> LastMessages:
    """Read the last messages of a thread, from one snapshot.

    Args:
        store: the store.
        thread_id: the thread; it may not exist.
        count: how many at most; None: all.
        before: only messages in front of this position.

    Raises:
        CorruptRecord: the thread cannot be read.
    """
    if count is None or count > _PAGE:
        whole = await store.threads.load(thread_id)
        if whole is None:
            return LastMessages(0, [])
        messages = list(enumerate(whole.thread.messages))[:before]
        return LastMessages(whole.version, messages if count is None else messages[-count:])
    newest = ListMessages(
        thread_id=thread_id, before=before, limit=count, order="desc", visibility=None
    )
    try:
        head, page = await store.read(LoadHead(thread_id=thread_id), newest)
    except NotFound:
        return LastMessages(0, [])
    if head is None:
        return LastMessages(0, [])
    return LastMessages(head.version, [(m.cursor, m.message) for m in reversed(page.messages)])
