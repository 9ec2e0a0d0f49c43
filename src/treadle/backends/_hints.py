"""Hints for listeners: each has a short list of what has changed since it last asked."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, assert_never

from treadle.backends._watch import Watch
from treadle.backends.model.tables import Change
from treadle.core.document_keys import split_row_key
from treadle.core.hints import ANYTHING, Hint, HintKind
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import StoreClosed

MOST_HINTS = 1_000
"""Most hints of a listener that does not ask for them, and of a commit. More say "anything"."""


def hints_of(changes: Iterable[Change]) -> set[Hint]:
    """The hints that changes give."""
    changed: set[tuple[HintKind, str]] = set()
    for change in changes:
        match change.table:
            case "threads":
                changed.add(("thread", change.key))
            case "runs":
                changed.add(("run", change.key))
                changed.update([("thread", row.thread_id) for row in _rows(change)])
            case "mailboxes":
                changed.add(("mailbox", change.key))
            case "entries":
                changed.update([("mailbox", row.mailbox_id) for row in _rows(change)])
            case "documents":
                changed.add(("collection", split_row_key(change.key)[0]))
            case _:
                assert_never(change.table)
    return {Hint(kind=kind, id=name) for kind, name in changed}


def _rows(change: Change) -> list[Any]:
    return [row for row in (change.before, change.after) if row is not None]


def hints_of_claims(outcomes: Iterable[tuple[MailboxEntry, ...] | Exception]) -> set[Hint]:
    """The hints that claims give; those that failed give none."""
    return {
        Hint(kind="mailbox", id=entry.mailbox_id)
        for outcome in outcomes
        if not isinstance(outcome, Exception)
        for entry in outcome
    }


class HintListener:
    """The hints that a listener has not taken yet. They begin with "anything": see `next`."""

    def __init__(self, hints: "Hints", wanted: frozenset[Hint] | None) -> None:
        self._hints = hints
        self.wanted = wanted
        """What to listen for; None for everything."""
        self._pending: dict[Hint, None] = {ANYTHING: None}
        self._news = asyncio.Event()
        self._error: Exception | None = None

    async def next(self, timeout_seconds: float | None = None) -> Hint | None:
        """Return what has changed; None after `timeout_seconds`.

        The first hint is "anything", and comes at once: a caller that reads after it, and again
        after each later hint, misses nothing.

        Raises:
            StoreClosed: the store is closed, or was closed in the meantime.
            StoreUnavailable: it cannot be watched any longer.
        """
        if not self._has_news():  # a timer costs more than the rest of this
            await self._wait_for_news(timeout_seconds)
        if self._error is not None:
            raise self._error
        if not self._pending:
            return None
        hint = next(iter(self._pending))
        del self._pending[hint]
        return hint

    def take_rest(self) -> Collection[Hint]:
        """Return what else has changed, as far as it is known by now."""
        rest, self._pending = self._pending, {}
        return rest

    def _has_news(self) -> bool:
        return bool(self._pending) or self._error is not None

    async def _wait_for_news(self, timeout_seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not self._has_news():
                    self._news.clear()
                    await self._news.wait()

    def stop(self) -> None:
        """Listen no longer."""
        self._hints.remove(self)

    def add(self, hints: Iterable[Hint]) -> None:
        """Take in hints, each once until it is returned."""
        self._pending |= dict.fromkeys(hints)
        if ANYTHING in self._pending or len(self._pending) > MOST_HINTS:
            self._pending = {ANYTHING: None}
        self._news.set()

    def fail(self, error: Exception) -> None:
        """Let `next` raise an error from now on."""
        self._error = error
        self._news.set()


class Hints:
    """All listeners of a store, by their event loops.

    Args:
        start: called on an event loop when its first listener comes.
        stop: called on it when its last listener has gone.
    """

    def __init__(
        self, start: Callable[[], None] = lambda: None, stop: Callable[[], None] = lambda: None
    ) -> None:
        self._start = start
        self._stop = stop
        self._audiences: dict[asyncio.AbstractEventLoop, _Audience] = {}

    def listen(self, wanted: frozenset[Hint] | None) -> HintListener:
        """Begin to listen on the running event loop."""
        loop = asyncio.get_running_loop()
        listener = HintListener(self, wanted)
        if loop not in self._audiences:
            self._start()
            self._audiences[loop] = _Audience()
        self._audiences[loop].add(listener)
        return listener

    def remove(self, listener: HintListener) -> None:
        """Remove a listener of the running event loop; nothing happens the second time."""
        loop = asyncio.get_running_loop()
        audience = self._audiences.get(loop)
        if audience is not None and audience.remove(listener):
            del self._audiences[loop]
            self._stop()

    def give(self, hints: Iterable[Hint]) -> None:
        """Give hints to the listeners that want them; may be called on any thread."""
        if self._audiences and (given := tuple(hints)):
            self._call(lambda audience: audience.give(given))

    def fail(self, error: Exception) -> None:
        """End all listeners with an error; may be called on any thread."""
        self._call(lambda audience: audience.fail(error))

    def close(self) -> None:
        """End all listeners: the store is closed."""
        self.fail(StoreClosed())

    def _call(self, act: "Callable[[_Audience], None]") -> None:
        for loop, audience in tuple(self._audiences.items()):
            try:
                loop.call_soon_threadsafe(act, audience)
            except RuntimeError:  # the loop is closed: nobody listens there
                self._audiences.pop(loop, None)


class CoarseHints(Hints):
    """Hints of a store that shows only that something has changed, and not what."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(lambda: watch.start(self._hear), lambda: watch.stop(self._hear))

    def _hear(self) -> None:
        self.give((ANYTHING,))


class _Audience:
    """The listeners of one event loop, by what they want to hear."""

    def __init__(self) -> None:
        self._of_everything: dict[HintListener, None] = {}
        self._of: dict[Hint, dict[HintListener, None]] = {}
        self._all: dict[HintListener, None] = {}

    def add(self, listener: HintListener) -> None:
        self._all[listener] = None
        for hint in listener.wanted or ():
            self._of.setdefault(hint, {})[listener] = None
        if listener.wanted is None:
            self._of_everything[listener] = None

    def remove(self, listener: HintListener) -> bool:
        """Remove a listener; return True if it was there and was the last."""
        if self._all.pop(listener, self) is self:
            return False
        self._of_everything.pop(listener, None)
        for hint in listener.wanted or ():
            self._of[hint].pop(listener)
            if not self._of[hint]:
                del self._of[hint]
        return not self._all

    def give(self, hints: tuple[Hint, ...]) -> None:
        if ANYTHING in hints:
            for listener in self._all:
                listener.add((ANYTHING,))
            return
        for listener in self._of_everything:
            listener.add(hints)
        for hint in hints if self._of else ():  # to hash them all takes longer than the rest
            for listener in self._of.get(hint, ()):
                listener.add((hint,))

    def fail(self, error: Exception) -> None:
        for listener in self._all:
            listener.fail(error)
