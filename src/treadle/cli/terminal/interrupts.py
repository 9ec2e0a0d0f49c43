"""Ctrl-C while the event loop cannot run: a read from a silent pipe, a write to a full one."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def interruptible() -> Generator[None]:
    """Let Ctrl-C end a read or a write at once; asyncio's handler would wait for its end."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
