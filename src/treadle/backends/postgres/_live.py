"""Live values from process to process, as notices on a channel of their own."""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence

from treadle.backends.live import LiveFollower, LiveValue, LiveValues, packets_of, values_in
from treadle.backends.postgres._channel import PAYLOAD_BYTES, Channel
from treadle.backends.postgres._limits import NOTICE_SECONDS
from treadle.backends.postgres.connection import Connection
from treadle.backends.postgres.location import Location
from treadle.clock import new_token

_MOST_PENDING = 10_000
"""Most values that wait to be sent; the oldest ones go first."""
_ENVELOPE_BYTES = 64
"""The bytes of a packet beside its values: the sender, and brackets."""


class LiveNotices(Channel):
    """Carries live values between the processes that use a store.

    Args:
        location: the database.
        call_seconds: the limit for a notice, if it is shorter than usual.
        connection_class: for tests.
    """

    def __init__(
        self,
        location: Location,
        call_seconds: float,
        connection_class: type[Connection] = Connection,
    ) -> None:
        super().__init__(location, location.live_channel, "live", call_seconds, connection_class)
        self._values = LiveValues()
        self._name = new_token()
        self._pending: deque[LiveValue] = deque(maxlen=_MOST_PENDING)
        self._changing = threading.Lock()

    def publish(self, value: LiveValue) -> None:
        """Give a value to all followers, in other processes soon."""
        self._values.give((value,))
        if self._location.listen == "on":
            with self._changing:
                self._pending.append(value)
            self.notify()

    async def follow(self, thread_id: str) -> LiveFollower:
        """Begin to follow a thread on the running event loop.

        It returns once the values of other processes come; if the server is away, a while later.
        """
        self.listen()
        follower = self._values.follow(thread_id)
        try:
            if self._location.listen == "on" and not self.is_listening.is_set():
                await asyncio.to_thread(self.is_listening.wait, NOTICE_SECONDS)
        except BaseException:
            follower.stop()
            raise
        return follower

    def end_followers(self) -> None:
        """End all who follow: the store is closing."""
        self._values.close()

    def hear(self, payloads: Sequence[str]) -> None:
        """Take in the notices of other processes."""
        for payload in payloads:
            self._values.give(values_in(payload, self._name))

    def take(self) -> list[str]:
        """Return the notices of all values that were published."""
        with self._changing:
            # They are not put back if the connection is lost: no value may come twice.
            taken = tuple(self._pending)
            self._pending.clear()
        packets = packets_of(taken, self._name, PAYLOAD_BYTES - _ENVELOPE_BYTES)
        return [packet.decode() for packet in packets]
