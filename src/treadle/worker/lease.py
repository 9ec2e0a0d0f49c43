"""A claim in a worker's hands: until when it holds, and how it ended."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from treadle.core.commands import Settlement
from treadle.core.mailboxes import MailboxEntry, claim_of

T = TypeVar("T")

_LEAST_S = 0.5
"""How long any write may take, in seconds."""


class Lease:
    """One claim. `deadline` is the moment it ends if not renewed, in `time.monotonic()` seconds."""

    def __init__(self, entry: MailboxEntry, deadline: float) -> None:
        self.entry = entry
        self.entry_id, self.claim_token = claim_of(entry, None)
        self.deadline = deadline
        self.settlement: Settlement | None = None
        self.loss: str | None = None
        """Why the claim is lost, once it is."""
        self.cancelled = threading.Event()
        self.task: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self._settling = 0

    @property
    def is_lost(self) -> bool:
        """Whether the claim was taken away: it ran out, or the entry was ended from outside."""
        return self.loss is not None

    @property
    def is_open(self) -> bool:
        """Whether the claim is neither settled nor lost."""
        return self.settlement is None and not self.is_lost

    @property
    def is_settling(self) -> bool:
        """Whether a write that settles it is under way: the store may know more than we do."""
        return self._settling > 0

    @property
    def lasted_ms(self) -> int:
        """Milliseconds since the claim."""
        return int((time.monotonic() - self._began) * 1000)

    def remaining_s(self) -> float:
        """Seconds until the claim ends; not positive once it is over."""
        return self.deadline - time.monotonic()

    @contextmanager
    def settling(self, settlement: Settlement) -> Generator[None]:
        """The block writes `settlement`; the claim is settled with it if the block succeeds."""
        self._settling += 1
        try:
            yield
            self.settlement = settlement
        finally:
            self._settling -= 1

    def lose(self, reason: str) -> bool:
        """Note why the claim is lost and stop its handler. Returns False if it had ended."""
        if not self.is_open:
            return False
        self.loss = reason
        self.cancel()
        return True

    def cancel(self) -> None:
        """Ask the handler to stop."""
        self.cancelled.set()
        if self.task is not None:
            self.task.cancel()

    async def within(self, write: Coroutine[Any, Any, T]) -> T:
        """Await `write`, but no longer than the claim holds, renewals included.

        A write begun too late gets half a second: whether the claim is over, the store decides.

        Raises:
            TimeoutError: the claim is over, and the write was cancelled.
        """
        task = asyncio.create_task(write)
        least = time.monotonic() + _LEAST_S
        try:
            while not task.done():
                remaining = max(self.deadline, least) - time.monotonic()
                if remaining <= 0:
                    break
                await asyncio.wait({task}, timeout=remaining)
        finally:
            if not task.done():
                task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            raise TimeoutError("the lease ran out before the store answered")
        return task.result()
