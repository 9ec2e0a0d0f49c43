"""Live values within a process: they go to those who follow their thread, and are kept nowhere."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import TypeAlias

import msgspec

from treadle.core.limits import LIVE_VALUES
from treadle.errors import StoreClosed

LiveValue: TypeAlias = tuple[str, msgspec.Raw]
"""The id of a thread, and the JSON of a value."""


class _Packet(msgspec.Struct, array_like=True):
    """What goes from process to process: who has published what."""

    sender: str
    values: tuple[LiveValue, ...]


def packets_of(values: Iterable[LiveValue], sender: str, most_bytes: int) -> list[bytes]:
    """Return the packets that carry values, in their order, of about `most_bytes` each."""
    parts: list[list[LiveValue]] = []
    left = 0
    for value in values:
        size = len(msgspec.json.encode(value)) + 1
        if size > left:
            parts.append([])
            left = most_bytes
        parts[-1].append(value)
        left -= size
    return [msgspec.json.encode(_Packet(sender, tuple(part))) for part in parts]


def values_in(packet: bytes | str, listener: str) -> Sequence[LiveValue]:
    """Return the values of a packet, but none that the listener itself has published."""
    try:
        found = msgspec.json.decode(packet, type=_Packet)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # somebody else's
        return ()
    return () if found.sender == listener else found.values


class LiveFollower:
    """The values of a thread that its follower has not asked for yet, the last ones."""

    def __init__(self, thread_id: str, stop: "Callable[[LiveFollower], None]") -> None:
        self.thread_id = thread_id
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._values: deque[bytes] = deque(maxlen=LIVE_VALUES)
        self._news = asyncio.Event()
        self._is_closed = False

    async def next(self) -> bytes:
        """Return the next value.

        Raises:
            StoreClosed: the store is closed, or was closed in the meantime.
        """
        while not self._values:
            if self._is_closed:
                raise StoreClosed
            self._news.clear()
            await self._news.wait()
        return self._values.popleft()

    def stop(self) -> None:
        """Follow no longer; may be called twice."""
        self._stop(self)

    def give(self, value: bytes) -> None:
        """Take in a value; on any thread."""
        self._call(self._values.append, value)

    def close(self) -> None:
        """Let `next` raise after the last value; on any thread."""
        self._call(self._end)

    def _end(self) -> None:
        self._is_closed = True

    def _call(self, act: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody follows there
            self._loop.call_soon_threadsafe(self._act, act, *arguments)

    def _act(self, act: Callable[..., object], *arguments: object) -> None:
        act(*arguments)
        self._news.set()


class LiveValues:
    """All who follow live values in this process; may be used on any thread."""

    def __init__(self) -> None:
        self._followers: dict[str, dict[LiveFollower, None]] = {}
        self._changing = Lock()

    @property
    def are_followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._followers)

    def follow(self, thread_id: str) -> LiveFollower:
        """Begin to follow a thread on the running event loop."""
        follower = LiveFollower(thread_id, self._remove)
        with self._changing:
            self._followers.setdefault(thread_id, {})[follower] = None
        return follower

    def give(self, values: Iterable[LiveValue]) -> None:
        """Give values to those who follow their threads."""
        for thread_id, value in values:
            with self._changing:
                followers = tuple(self._followers.get(thread_id, ()))
            for follower in followers:
                follower.give(bytes(value))

    def close(self) -> None:
        """End all followers: the store is closed."""
        with self._changing:
            groups = tuple(self._followers.values())
            self._followers.clear()
        for follower in (each for group in groups for each in group):
            follower.close()

    def _remove(self, follower: LiveFollower) -> None:
        with self._changing:
            group = self._followers.get(follower.thread_id, {})
            group.pop(follower, None)
            if not group:
                self._followers.pop(follower.thread_id, None)
