"""Backends that break the rules of live values."""

import asyncio
from typing import Any

from tests.conformance.broken_backends.broken_backend import breaks
from treadle import Message
from treadle.backends.base import Guarantee, LiveListener
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.thread_commands import AppendThread
from treadle.core.threads import ThreadChangeSet


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "live values come in order and once")
class Twice(MemoryBackend):
    """Gives every hundredth value twice."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._count = 0

    def publish(self, thread_id: str, value: bytes) -> None:
        super().publish(thread_id, value)
        self._count += 1
        if self._count % 100 == 0:
            super().publish(thread_id, value)


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "live values come in order and once")
class Disordered(MemoryBackend):
    """Gives what is published in a burst in another order."""

    def publish(self, thread_id: str, value: bytes) -> None:
        asyncio.get_running_loop().call_later(
            0.001 if value[-1] % 2 else 0, super().publish, thread_id, value
        )


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "only those who follow the thread get")
class Folding(MemoryBackend):
    """Takes `T` for `t`."""

    def publish(self, thread_id: str, value: bytes) -> None:
        super().publish(thread_id.lower(), value)

    async def follow_live(self, thread_id: str) -> LiveListener:
        return await super().follow_live(thread_id.lower())


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "all who follow get a live value")
class OneFollower(MemoryBackend):
    """Gives values to the newest follower only."""

    async def follow_live(self, thread_id: str) -> LiveListener:
        self._live.close()
        return await super().follow_live(thread_id)


@breaks(
    Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE,
    "a live value that was published before does not come",
)
class Remembering(MemoryBackend):
    """Begins with the last value."""

    _last = b""

    def publish(self, thread_id: str, value: bytes) -> None:
        super().publish(thread_id, value)
        self._last = value

    async def follow_live(self, thread_id: str) -> LiveListener:
        follower = self._live.follow(thread_id)
        if self._last:
            follower.give(self._last)
        return follower


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "a live value comes exactly: a float")
class Rounding(MemoryBackend):
    """Gives 1.0 as 1."""

    def publish(self, thread_id: str, value: bytes) -> None:
        super().publish(thread_id, value.replace(b".0", b""))


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "a live value comes exactly: the largest")
class Cutting(MemoryBackend):
    """Drops large values."""

    def publish(self, thread_id: str, value: bytes) -> None:
        if len(value) < 5_000:
            super().publish(thread_id, value)


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "a live value changes nothing")
class Keeping(MemoryBackend):
    """Appends each value to the thread."""

    def publish(self, thread_id: str, value: bytes) -> None:
        super().publish(thread_id, value)
        changes = ThreadChangeSet(messages=[Message.assistant(value.decode(), id="live")])
        AppendThread(thread_id=thread_id, changes=changes).apply(self.tables, 0)


@breaks(
    Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE,
    "who does not ask loses the oldest live values",
)
class Unbounded(MemoryBackend):
    """Keeps everything for a follower that does not ask."""

    async def follow_live(self, thread_id: str) -> LiveListener:
        follower = self._live.follow(thread_id)
        follower._values = type(follower._values)()
        return follower


@breaks(
    Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE,
    "who does not ask loses the oldest live values",
)
class LosesTheNewest(MemoryBackend):
    """Drops what comes when there is no room."""

    async def follow_live(self, thread_id: str) -> LiveListener:
        follower = self._live.follow(thread_id)
        give = follower.give
        count = 0

        def give_some(value: bytes) -> None:
            nonlocal count
            count += 1
            if count <= 1_000:
                give(value)

        follower.give = give_some  # type: ignore[method-assign]
        return follower


@breaks(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "live values end with the store")
class Endless(MemoryBackend):
    """Leaves its followers behind when it is closed."""

    async def close(self) -> None:
        self._live.close = lambda: None  # type: ignore[method-assign]
        await super().close()
