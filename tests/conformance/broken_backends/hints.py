"""Backends that break the rules of hints, and of what is read after them."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from tests.conformance.broken_backends.broken_backend import breaks
from treadle.backends._hints import HintListener, Hints
from treadle.backends.base import Guarantee, Listener
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import ANYTHING, Hint
from treadle.core.queries import Query
from treadle.core.thread_commands import DeleteThread
from treadle.core.thread_queries import ListDeltas

T = TypeVar("T")


class _Filtering(Hints):
    """Gives only some hints."""

    def give(self, hints: Iterable[Hint]) -> None:
        super().give([hint for hint in hints if self.passes(hint)])

    def passes(self, hint: Hint) -> bool:
        raise NotImplementedError


class _Deaf(_Filtering):
    def passes(self, hint: Hint) -> bool:
        return hint.kind != "mailbox"


@breaks(Guarantee.CHANGES_ARE_HINTED, "a change gives a hint: send")
class Deaf(MemoryBackend):
    """Gives no hints of mailboxes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._hints = _Deaf()


@breaks(Guarantee.CHANGES_ARE_HINTED, "a batch gives a hint for each of its changes")
class OneOfABatch(MemoryBackend):
    """Gives only the first hint of a batch."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        give = self._hints.give
        self._hints.give = lambda hints: give(sorted(hints, key=str)[:1])  # type: ignore[method-assign]


@breaks(Guarantee.CHANGES_ARE_HINTED, "a hint comes when the change can be read")
class Hasty(MemoryBackend):
    """Gives the hint before the change."""

    async def commit(self, batch: Commands) -> Receipt:
        self._hints.give([ANYTHING])
        await asyncio.sleep(0.02)
        give, self._hints.give = self._hints.give, lambda hints: None  # type: ignore[method-assign]
        try:
            return await super().commit(batch)
        finally:
            self._hints.give = give  # type: ignore[method-assign]


@breaks(Guarantee.CHANGES_ARE_HINTED, "a change while nobody asks is hinted later")
class Forgetful(MemoryBackend):
    """Keeps no hint for a listener that does not ask."""

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        listener = super().listen(wanted)
        assert isinstance(listener, HintListener)
        add, ask = listener.add, listener.next
        listener.add = lambda hints: None  # type: ignore[method-assign]

        async def next_hint(timeout_seconds: float | None = None) -> Hint | None:
            listener.add = add  # type: ignore[method-assign]
            try:
                return await ask(timeout_seconds)
            finally:
                listener.add = lambda hints: None  # type: ignore[method-assign]

        listener.next = next_hint  # type: ignore[method-assign]
        return listener


@breaks(Guarantee.CHANGES_ARE_HINTED, "a listener ends with the store")
class Endless(MemoryBackend):
    """Leaves its listeners behind when it is closed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._hints.close = lambda: None  # type: ignore[method-assign]


@breaks(Guarantee.CHANGES_ARE_HINTED, "a follower ends with the deletion of the thread")
class Undying(MemoryBackend):
    """Gives no hint of a deletion."""

    async def commit(self, batch: Commands) -> Receipt:
        if not any(isinstance(command, DeleteThread) for command in batch):
            return await super().commit(batch)
        give, self._hints.give = self._hints.give, lambda hints: None  # type: ignore[method-assign]
        try:
            return await super().commit(batch)
        finally:
            self._hints.give = give  # type: ignore[method-assign]


class _Retold(MemoryBackend):
    """Answers with other deltas."""

    async def read(self, query: Query[T]) -> T:
        answer = await super().read(query)
        if isinstance(query, ListDeltas) and answer:
            return cast("T", self.retell(answer))
        return answer

    def retell(self, deltas: Any) -> Any:
        raise NotImplementedError


@breaks(Guarantee.CHANGES_ARE_HINTED, "a follower gets each version once and in order")
class Stammering(_Retold):
    """Tells the last version twice."""

    def retell(self, deltas: Any) -> Any:
        return (*deltas, deltas[-1])


@breaks(Guarantee.CHANGES_ARE_HINTED, "a follower gets each version once and in order")
class Backwards(_Retold):
    """Tells the newest version first."""

    def retell(self, deltas: Any) -> Any:
        return deltas[::-1]
