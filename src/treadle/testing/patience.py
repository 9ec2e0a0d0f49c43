"""How long the suite waits for a backend before it says that it hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60
"""How long any one thing may take: a call, a handle's closing, an answer of another process."""


async def patient(call: Coroutine[Any, Any, T], seconds: float = PATIENCE_SECONDS) -> T:
    """What a call returns; it must do so within so many seconds.

    Raises:
        AssertionError: it hangs.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            return await call
    except TimeoutError:
        if deadline.expired():
            raise AssertionError(f"it was not done after {seconds} s") from None
        raise


def run_patiently(call: Coroutine[Any, Any, T]) -> T:
    """The same in an event loop of its own."""
    return asyncio.run(patient(call))
