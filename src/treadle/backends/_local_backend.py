"""What the backends on files of one machine have in common: waits, hints and live values."""

from typing import Any

import msgspec

from treadle.backends._group_thread import GroupThread
from treadle.backends._hints import Hints
from treadle.backends._live_file import LiveFile
from treadle.backends._waiting import Waiting
from treadle.backends._watch import Watch
from treadle.backends.base import Listener, LiveListener
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges


class LocalBackend:
    """Writes on a thread of its own, and hears of other processes by files beside the data."""

    _thread: GroupThread[Any]
    _watch: Watch
    _waiting: Waiting
    _hints: Hints
    _live: LiveFile

    async def close(self) -> None:
        """Finish the calls that were accepted, and end the thread."""
        self._hints.close()
        self._live.end_followers()
        await self._thread.close()
        self._watch.wake()

    def release(self) -> None:
        """Let the thread end by itself."""
        self._thread.stop()

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once something is claimable, or after `timeout_ms`."""
        await self._waiting.until_due(timeout_ms, among or mailbox_id)

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen for changes."""
        self._thread.require_running()
        return self._hints.listen(wanted)

    def publish(self, thread_id: str, value: bytes) -> None:
        """Give a live value to those who follow its thread, here and in other processes."""
        self._thread.require_running()
        self._live.publish((thread_id, msgspec.Raw(value)))

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow the live values of a thread."""
        self._thread.require_running()
        return self._live.follow(thread_id)
