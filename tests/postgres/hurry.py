"""Calls with a short deadline, so that a test of what happens at it need not wait for long."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from treadle import Store
from treadle.backends._deadline import CALL_SECONDS


@contextmanager
def hurried(store: Store, seconds: float) -> Iterator[None]:
    """Give the calls that begin in the block a short deadline.

    The calls before and after it have to succeed, also on a machine that is slow for a moment.
    """
    backend: Any = store._backend
    backend._call_seconds = seconds
    try:
        yield
    finally:
        backend._call_seconds = CALL_SECONDS
