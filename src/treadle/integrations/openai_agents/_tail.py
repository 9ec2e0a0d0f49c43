"""The last items of a thread, with the positions of their messages and the thread's version."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from treadle import Message, NotFound, Store
from treadle.integrations.openai_agents._items import write_items
from treadle.queries import ListMessages, LoadHead

PAGE = 200
"""Most messages that one query gives."""

Item = dict[str, Any]


class Row(NamedTuple):
    """An item, and the position of its message in the thread."""

    position: int
    item: Item


class Tail(NamedTuple):
    """Items at the end of a thread, which is at `version`."""

    version: int
    rows: list[Row]

    @property
    def items(self) -> list[Item]:
        """The items without their positions."""
        return [row.item for row in self.rows]

    def cut(self, start: int) -> tuple[int, list[Item]]:
        """Return how many messages stay before the item at `start`, and what stays of its message.

        A message that was not read from an item may be several items.
        """
        keep = self.rows[start].position
        return keep, [row.item for row in self.rows[:start] if row.position == keep]


NO_TAIL = Tail(0, [])


async def read_tail(
    store: Store, thread_id: str, limit: int | None, *, before: int | None = None
) -> Tail:
    """Read the last messages of a thread from one snapshot; no items if it does not exist.

    Args:
        store: the store.
        thread_id: the thread.
        limit: how many messages at least, if there are so many; None: all.
        before: only messages in front of this position.
    """
    if limit is None or limit > PAGE:
        whole = await store.threads.load(thread_id)
        if whole is None:
            return NO_TAIL
        return Tail(whole.version, _rows(list(enumerate(whole.thread.messages))[:before]))
    last = ListMessages(
        thread_id=thread_id, before=before, limit=limit, order="desc", visibility=None
    )
    try:
        head, page = await store.read(LoadHead(thread_id=thread_id), last)
    except NotFound:
        return NO_TAIL
    if head is None:
        return NO_TAIL
    return Tail(head.version, _rows([(m.cursor, m.message) for m in reversed(page.messages)]))


def _rows(messages: Sequence[tuple[int, Message]]) -> list[Row]:
    return [Row(position, item) for position, each in messages for item in write_items(each)]
