"""The history of a session: committed call by call, or collected in a batch."""

from collections.abc import Sequence
from typing import Protocol

from treadle import Batch, Json, Message, NotFound, Store, Thread, ThreadSummary, VersionConflict
from treadle.integrations._owners import lacks_owner
from treadle.integrations.openai_agents._items import read_item, write_items
from treadle.integrations.openai_agents._tail import NO_TAIL, Item, Tail, read_tail


class History(Protocol):
    """What a session does with its items."""

    async def check_owner(self) -> None:
        """Refuse a thread of another owner; one without an owner gets it with the next items.

        It asks the store once.
        """
        ...

    async def read(self, limit: int | None) -> list[Item]:
        """Return at least the last `limit` items, if there are so many; None: all."""
        ...

    async def add(self, items: Sequence[Json]) -> None:
        """Append items, all or none."""
        ...

    async def pop(self) -> Item | None:
        """Remove the last item and return it; None if there is none."""
        ...

    async def clear(self) -> None:
        """Delete the thread."""
        ...


class _Owned:
    """The thread of a history, which has an owner or gets one."""

    def __init__(self, store: Store, thread: Thread) -> None:
        self._store = store
        self._thread = thread
        self._lacks_owner: bool | None = None
        """None: nobody has asked yet."""

    async def check_owner(self) -> None:
        """Refuse a thread of another owner; one without an owner gets it with the next items."""
        if self._lacks_owner is None:
            self._lacks_owner = await lacks_owner(self._store, self._thread)

    def _append(self, step: Batch, messages: Sequence[Message]) -> None:
        if not messages:
            return
        step.threads.ensure(self._thread)
        if self._lacks_owner:
            step.threads.update(self._thread.id, resource_id=self._thread.resource_id)
        step.threads.append(self._thread.id, *messages)


class Committed(_Owned):
    """A history of which each call is a read or a commit."""

    def __init__(self, store: Store, thread: Thread) -> None:
        super().__init__(store, thread)
        self._was_there = False
        """Whether the thread has existed; then it mostly still does."""

    async def read(self, limit: int | None) -> list[Item]:
        """Return at least the last `limit` items, if there are so many; None: all."""
        return (await self.read_tail(limit)).items

    async def read_tail(self, limit: int | None) -> Tail:
        """Read at least the last `limit` items, with their positions."""
        tail = await read_tail(self._store, self._thread.id, limit)
        self._was_there = tail.version > 0
        return tail

    async def add(self, items: Sequence[Json]) -> None:
        """Append items, all or none."""
        messages = [read_item(item) for item in items]
        if messages and self._was_there and not self._lacks_owner:
            try:
                await self._store.threads.append(self._thread.id, *messages)
            except NotFound:  # somebody has deleted the thread
                self._was_there = False
            else:
                return
        async with self._store.batch() as step:
            self._append(step, messages)
        if messages:
            self._was_there, self._lacks_owner = True, False

    async def pop(self) -> Item | None:
        """Remove the last item and return it; of several callers, each gets another one."""
        while True:
            tail = await self.read_tail(1)
            if not tail.rows:
                return None
            if await self.replace(tail, len(tail.rows) - 1, []):
                return tail.rows[-1].item

    async def clear(self) -> None:
        """Delete the thread; the next item creates it again, for the same owner."""
        self._thread = _as_before(self._thread, await self._store.threads.summary(self._thread.id))
        await self._store.threads.delete(self._thread.id)

    async def replace_all(self, items: Sequence[Json]) -> None:
        """Replace all items by others, in the thread as it is."""
        messages = [read_item(item) for item in items]
        async with self._store.batch() as step:
            step.threads.ensure(self._thread)
            step.threads.truncate(self._thread.id, keep=0)
            self._append(step, messages)

    async def replace(self, tail: Tail, start: int, items: Sequence[Json]) -> bool:
        """Replace `start` and all later items of a tail; return False if the thread has changed."""
        keep, rest = tail.cut(start)
        try:
            async with self._store.batch() as step:
                step.threads.truncate(self._thread.id, keep=keep, expected=tail.version)
                self._append(step, [*map(read_item, [*rest, *items])])
        except (VersionConflict, NotFound):
            return False
        return True


class Pending(_Owned):
    """A history whose writes are in a batch that others commit."""

    def __init__(self, store: Store, thread: Thread, step: Batch) -> None:
        super().__init__(store, thread)
        self._step = step
        self._kept: int | None = None
        """How many of the messages before the batch stay; None: all."""
        self._added: list[Item] = []
        self._changes = 0
        """How much the version will rise."""
        self._seen: int | None = None
        """The version that was read last; None: nothing was read."""
        self._is_cleared = False

    async def read(self, limit: int | None) -> list[Item]:
        """Return the last items of the thread, followed by those of the batch."""
        missing = None if limit is None else max(limit - len(self._added), 0)
        before = NO_TAIL if missing == 0 else await self._read_before(missing)
        return [*before.items, *(item for each in self._added for item in _copied(each))]

    async def add(self, items: Sequence[Json]) -> None:
        """Append items when the batch commits."""
        copies = [copy for item in items for copy in _copied(item)]
        if copies:
            self._append(self._step, [*map(read_item, copies)])
            self._changes += 1
        self._added += copies

    async def pop(self) -> Item | None:
        """Take back the last item of the batch, or else of the thread as it is."""
        if self._added:
            self._step.threads.truncate(self._thread.id, drop=1)
            self._changes += 1
            return self._added.pop()
        tail = await self._read_before(1)
        if not tail.rows:
            return None
        self._kept, rest = tail.cut(len(tail.rows) - 1)
        expected = tail.version + self._changes
        self._step.threads.truncate(self._thread.id, keep=self._kept, expected=expected)
        self._changes += 1
        await self.add(rest)
        return tail.rows[-1].item

    async def clear(self) -> None:
        """Delete the thread when the batch commits, if nobody has added to it since it was read."""
        expected = self._changes or None
        if not self._is_cleared:
            head = await self._store.threads.summary(self._thread.id)
            self._thread = _as_before(self._thread, head)
            if head is not None:
                expected = (head.version if self._seen is None else self._seen) + self._changes
        self._step.threads.delete(self._thread.id, expected=expected)
        self._added = []
        self._kept = self._changes = 0
        self._is_cleared = True

    async def _read_before(self, limit: int | None) -> Tail:
        if self._kept == 0:
            return NO_TAIL
        tail = await read_tail(self._store, self._thread.id, limit, before=self._kept)
        self._seen = tail.version
        return tail


def _as_before(thread: Thread, head: ThreadSummary | None) -> Thread:
    """Return the thread with which a history begins again: with the owner and title it had."""
    if head is None:
        return thread
    return Thread(
        id=thread.id,
        resource_id=thread.resource_id if head.resource_id is None else head.resource_id,
        parent_thread_id=head.parent_thread_id,
        metadata=head.metadata,
    )


def _copied(item: Json) -> list[Item]:
    """Return an item that shares nothing with the caller's."""
    return write_items(read_item(item))
