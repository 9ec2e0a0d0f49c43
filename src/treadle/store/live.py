"""`store.live`: values that are shown while they are made, such as the tokens of an answer."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from treadle.backends.base import Backend, CarriesLiveValues, LiveListener
from treadle.backends.live import LiveValues
from treadle.core.codec import Json
from treadle.core.ids import check_id
from treadle.core.live import LivePiece, PartKind, decode_live, encode_live
from treadle.errors import InvalidValue, StoreClosed
from treadle.store.ending import Followers

_PIECE = 500
"""Most characters of a piece: so many fit in a live value, whatever they are."""


class Live:
    """Live values of threads: those who follow at that moment see them, and nothing stores them.

    They come in the order of their publisher, each at most once, and within milliseconds, in any
    process. Values may be lost: if a follower does not ask for the next one while 1,000 come, if
    many are published at once, and if a process or a connection ends. So publish only what the
    thread will have a moment later, and number the values if a gap matters. They are in no batch,
    no journal and no backup.
    """

    def __init__(self, backend: Backend, here: LiveValues, followers: Followers) -> None:
        self._backend = backend
        self._followers = followers
        self._here = here
        """For a backend that does not carry them; the store closes it."""

    async def publish(self, thread_id: str, value: Json) -> None:
        """Show a value to all who follow the thread, which need not exist, and wait for nobody.

        Args:
            thread_id: the thread.
            value: what to show, at most 6,000 bytes of JSON.

        Raises:
            InvalidId, InvalidValue: the id cannot be one, or JSON cannot hold the value, or it is
                too large.
            StoreUnavailable: the store is open to read only, or other processes cannot be reached.
        """
        data = encode_live(value)
        check_id("thread", thread_id)
        if isinstance(self._backend, CarriesLiveValues):
            self._backend.publish(thread_id, data)
        else:
            self._here.give([(thread_id, msgspec.Raw(data))])

    @asynccontextmanager
    async def follow(self, thread_id: str) -> AsyncGenerator[AsyncGenerator[Json]]:
        """Follow a thread: `async with store.live.follow("t") as values: async for ...`.

        The values are those that are published after the block has begun. They end when the store
        is closed, or at `Store.end_followers`.

        Raises:
            InvalidId: the id cannot be one.
            StoreUnavailable: other processes cannot be heard.
        """
        check_id("thread", thread_id)
        listener = await self._listen(thread_id)
        values = _values_of(listener, self._followers)
        try:
            yield values
        finally:
            listener.stop()
            await values.aclose()

    def message(self, thread_id: str, message_id: str, *, run_id: str = "") -> "LiveMessage":
        """Return a message that is shown while it is written, piece by piece.

        Append it to the thread when it is complete, with the same id: only then is it stored.

        Args:
            thread_id: the thread.
            message_id: the id that the message will have.
            run_id: the run that writes it.
        """
        return LiveMessage(self, thread_id, message_id, run_id)

    async def _listen(self, thread_id: str) -> LiveListener:
        if isinstance(self._backend, CarriesLiveValues):
            return await self._backend.follow_live(thread_id)
        return self._here.follow(thread_id)


async def _values_of(listener: LiveListener, followers: Followers) -> AsyncGenerator[Json]:
    while True:
        try:
            data = await followers.wait_for(listener.next)
        except StoreClosed:
            return
        try:
            value = decode_live(data)
        except InvalidValue:  # the file of live values was damaged: it is lost
            continue
        yield value


class LiveMessage:
    """A message that is being written, and shown; see `Live.message`.

    Its pieces are `LivePiece` values, which AG-UI and the AI SDK get as their events.
    """

    def __init__(
        self,
        live: Live,
        thread_id: str,
        message_id: str,
        run_id: str,
        *,
        after_first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._live = live
        self._thread_id = thread_id
        self._run_id = run_id
        self._after_first = after_first
        """What is awaited once, after the first piece is shown."""
        self._counts: Counter[tuple[PartKind, str | None]] = Counter()
        self.id = message_id
        """The id that the message will have."""

    async def text(self, delta: str) -> None:
        """Show more of its text."""
        await self._show("text", delta)

    async def reasoning(self, delta: str) -> None:
        """Show more of what the model thinks."""
        await self._show("reasoning", delta)

    async def tool_call(self, call_id: str, name: str, delta: str = "") -> None:
        """Show a tool call, and more of its arguments, which are JSON as the model writes it."""
        await self._show("tool_call", delta, call_id, name)

    async def _show(
        self, part: PartKind, delta: str, call_id: str | None = None, name: str | None = None
    ) -> None:
        for start in range(0, max(len(delta), 1), _PIECE):
            piece = LivePiece(
                message_id=self.id,
                run_id=self._run_id,
                part=part,
                number=self._counts[part, call_id],
                delta=delta[start : start + _PIECE],
                tool_call_id=call_id,
                tool_name=name,
            )
            self._counts[part, call_id] += 1
            await self._live.publish(self._thread_id, msgspec.to_builtins(piece))
        after_first, self._after_first = self._after_first, None
        if after_first is not None:
            await after_first()
