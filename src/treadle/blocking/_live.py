"""Written by `make twin` from `treadle.store.live`: change that, not this."""

from collections.abc import Generator
from contextlib import contextmanager

from treadle.blocking._portal import Portal
from treadle.core.codec import Json
from treadle.store import live as original


class LiveMessage:
    """A message that is being written, and shown; see `Live.message`.

    Its pieces are `LivePiece` values, which AG-UI and the AI SDK get as their events.
    """

    def __init__(self, reads: original.LiveMessage, portal: Portal) -> None:
        self._portal = portal
        self._reads = reads
        self.id = reads.id
        """The id that the message will have."""

    def text(self, delta: str) -> None:
        """Show more of its text."""
        return self._portal.call(self._reads.text(delta))

    def reasoning(self, delta: str) -> None:
        """Show more of what the model thinks."""
        return self._portal.call(self._reads.reasoning(delta))

    def tool_call(self, call_id: str, name: str, delta: str = "") -> None:
        """Show a tool call, and more of its arguments, which are JSON as the model writes it."""
        return self._portal.call(self._reads.tool_call(call_id, name, delta))


class Live:
    """Live values of threads: those who follow at that moment see them, and nothing stores them.

    They come in the order of their publisher, each at most once, and within milliseconds, in any
    process. Values may be lost: if a follower does not ask for the next one while 1,000 come, if
    many are published at once, and if a process or a connection ends. So publish only what the
    thread will have a moment later, and number the values if a gap matters. They are in no batch,
    no journal and no backup.
    """

    def __init__(self, reads: original.Live, portal: Portal) -> None:
        self._portal = portal
        self._reads = reads

    def publish(self, thread_id: str, value: Json) -> None:
        """Show a value to all who follow the thread, which need not exist, and wait for nobody.

        Args:
            thread_id: the thread.
            value: what to show, at most 6,000 bytes of JSON.

        Raises:
            InvalidId, InvalidValue: the id cannot be one, or JSON cannot hold the value, or it is
                too large.
            StoreUnavailable: the store is open to read only, or other processes cannot be reached.
        """
        return self._portal.call(self._reads.publish(thread_id, value))

    @contextmanager
    def follow(self, thread_id: str) -> Generator[Generator[Json, None, None], None, None]:
        """Follow a thread: `with store.live.follow("t") as values: for ...`.

        The values are those that are published after the block has begun. They end when the store
        is closed, or at `Store.end_followers`.

        Raises:
            InvalidId: the id cannot be one.
            StoreUnavailable: other processes cannot be heard.
        """
        with self._portal.entered(self._reads.follow(thread_id)) as items:
            yield self._portal.iterate(items)

    def message(self, thread_id: str, message_id: str, *, run_id: str = "") -> LiveMessage:
        """Return a message that is shown while it is written, piece by piece.

        Append it to the thread when it is complete, with the same id: only then is it stored.

        Args:
            thread_id: the thread.
            message_id: the id that the message will have.
            run_id: the run that writes it.
        """
        return LiveMessage(self._reads.message(thread_id, message_id, run_id=run_id), self._portal)
