"""The end of a history, which the SDK's automatic compaction replaces in one commit.

The SDK asks a session for it with a private hook. An SDK without the hook does not ask: it clears
the session and writes it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgspec
from agents import TResponseInputItem

from treadle import Message, Store, Thread, VersionConflict
from treadle.backends.cancellation import shielded
from treadle.integrations.openai_agents._histories import Committed
from treadle.integrations.openai_agents._items import read_item, write_items
from treadle.integrations.openai_agents._tail import Item, Tail

IsExpired = Callable[[TResponseInputItem], bool]


@dataclass(frozen=True)
class Snapshot:
    """The last items of a session, with the fields that the SDK expects."""

    items: list[Item]
    complete: bool
    """Whether there are no items before them."""
    replace_suffix: "ReplaceSuffix"


@dataclass(frozen=True)
class ReplaceSuffix:
    """Replaces the last items of a snapshot, if nobody has changed the thread since."""

    store: Store
    thread: Thread
    tail: Tail
    skipped: int
    """How many items of the tail are before the snapshot."""
    is_expired: IsExpired | None
    """Says of the oldest items whether they go, too."""

    async def __call__(self, start: int, output: list[TResponseInputItem]) -> bool:
        """Replace `start` and all later items by `output`; return False if the thread changed."""
        at = self.skipped + start
        if at >= len(self.tail.rows):
            return False
        return await shielded(self._replace(at, output))

    async def _replace(self, start: int, output: list[TResponseInputItem]) -> bool:
        if self.is_expired is not None:
            return await self._prune_and_replace(self.is_expired, start, output)
        return await Committed(self.store, self.thread).replace(self.tail, start, output)

    async def _prune_and_replace(
        self, is_expired: IsExpired, start: int, output: list[TResponseInputItem]
    ) -> bool:
        """Write the thread again as a whole: messages can be taken back only from its end."""
        head = await self.store.threads.load(self.thread.id)
        if head is None or head.version != self.tail.version:
            return False
        keep, rest = self.tail.cut(start)
        kept = list(head.thread.messages[:keep])
        while kept and all(map(is_expired, _sdk_items(kept[0]))):
            del kept[0]
        if len(kept) == keep:
            return await Committed(self.store, self.thread).replace(self.tail, start, output)
        messages = (*kept, *map(read_item, [*rest, *output]))
        thread = msgspec.structs.replace(head.thread, messages=messages)
        try:
            await self.store.threads.save(thread, expected=head.version)
        except VersionConflict:
            return False
        return True


async def take_snapshot(
    store: Store, thread: Thread, limit: int, is_expired: IsExpired | None
) -> Snapshot:
    """Return the last `limit` items of a thread."""
    tail = await Committed(store, thread).read_tail(limit + 1)
    skipped = max(len(tail.rows) - limit, 0)
    replace = ReplaceSuffix(store, thread, tail, skipped, is_expired)
    return Snapshot(tail.items[skipped:], skipped == 0, replace)


def _sdk_items(message: Message) -> list[TResponseInputItem]:
    return cast("list[TResponseInputItem]", write_items(message))
