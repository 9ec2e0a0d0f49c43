"""Listening for changes, on backends that give hints and on those that do not."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import Protocol, runtime_checkable

from treadle.backends.base import Backend, GivesHints, Listener
from treadle.core.hints import ANYTHING, Hint
from treadle.core.ids import check_id
from treadle.core.mailbox_queries import LoadMailbox
from treadle.errors import StoreClosed

POLL_SECONDS = 1.0
"""How often "anything" comes from a backend that gives no hints."""


def wanted_hints(thread_id: str | None, mailbox_id: str | None) -> frozenset[Hint] | None:
    """The hints about a thread or a mailbox; None, for all, if neither is given.

    Raises:
        InvalidId: an id cannot be one.
    """
    wanted: set[Hint] = set()
    if thread_id is not None:
        wanted.add(Hint(kind="thread", id=check_id("thread", thread_id)))
    if mailbox_id is not None:
        wanted.add(Hint(kind="mailbox", id=check_id("mailbox", mailbox_id)))
    return frozenset(wanted) or None


def listen(backend: Backend, wanted: frozenset[Hint] | None) -> Listener:
    """Begin to listen to a backend, whether it gives hints or not.

    Raises:
        StoreClosed: the store is not open.
    """
    return backend.listen(wanted) if isinstance(backend, GivesHints) else _Poll(backend)


async def listened(backend: Backend, wanted: frozenset[Hint] | None) -> AsyncGenerator[Hint]:
    """Yield hints until the store is closed."""
    listener = listen(backend, wanted)
    try:
        while True:
            try:
                hint = await listener.next()
            except StoreClosed:
                return
            if hint is not None:
                yield hint
    finally:
        listener.stop()


async def listened_together(
    backend: Backend, wanted: frozenset[Hint] | None
) -> AsyncGenerator[Collection[Hint]]:
    """Yield hints until the store is closed: all that have come, each time."""
    listener = listen(backend, wanted)
    keeper = listener if isinstance(listener, _KeepsHints) else None
    try:
        while True:
            try:
                hint = await listener.next()
            except StoreClosed:
                return
            if hint is not None:
                yield (hint, *(keeper.take_rest() if keeper else ()))
    finally:
        listener.stop()


@runtime_checkable
class _KeepsHints(Protocol):
    """A listener that keeps what was not asked for, and gives all of it at once."""

    def take_rest(self) -> Collection[Hint]:
        """Return what else has changed, as far as it is known by now."""
        ...


class _Poll:
    """Says now and then that anything may have changed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._has_begun = False

    async def next(self, timeout_seconds: float | None = None) -> Hint | None:
        """Return "anything" after a while, and at the latest after `timeout_seconds`."""
        is_first, self._has_begun = not self._has_begun, True
        if not is_first:
            wait = POLL_SECONDS if timeout_seconds is None else min(POLL_SECONDS, timeout_seconds)
            await asyncio.sleep(wait)
        await self._backend.read(LoadMailbox(mailbox_id="any"))  # so that it ends with the store
        return ANYTHING

    def stop(self) -> None:
        """Do nothing: nobody looks for it."""
