"""Timeouts: how long the suite waits for a backend before a check fails because it hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 60
"""How long one step may take: a call, closing a handle, an answer of a child process."""


async def with_timeout(call: Coroutine[Any, Any, T], seconds: float = TIMEOUT_SECONDS) -> T:
    """Return what a call returns, within so many seconds.

    Raises:
        AssertionError: the call took longer.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            return await call
    except TimeoutError:
        # a TimeoutError of the call's own is the call's result
        if deadline.expired():
            raise AssertionError(f"it was not done after {seconds} s") from None
        raise


def run_with_timeout(call: Coroutine[Any, Any, T]) -> T:
    """Run a call in a new event loop, within `TIMEOUT_SECONDS`."""
    return asyncio.run(with_timeout(call))
