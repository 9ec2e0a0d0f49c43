"""The last items of a thread, with the positions of their messages and the thread's version."""

from typing import Any, NamedTuple

from treadle import Store
from treadle.integrations._last_messages import load_last_messages
from treadle.integrations.openai_agents._items import write_items

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
    """Read the last items of a thread; there are none if it does not exist.

    Args:
        store: the store.
        thread_id: the thread.
        limit: how many at least, if there are so many; None: all.
        before: only items of messages before this position.
    """
    version, messages = await load_last_messages(store, thread_id, limit, before=before)
    rows = [Row(position, item) for position, each in messages for item in write_items(each)]
    return Tail(version, rows)
