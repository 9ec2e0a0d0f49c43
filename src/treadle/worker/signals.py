"""SIGTERM and SIGINT as a request to stop."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Generator[None]:
    """Call `stop` at the first SIGTERM or SIGINT within the block.

    A second signal has the effect that it had before the block, so that an operator can always end
    the process.

    Raises:
        ValueError: this is not the main thread.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    # `loop.add_signal_handler` is not available on Windows
    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()


@contextmanager
def also_on_signals(call: Callable[[], object]) -> Generator[None]:
    """Call `call` at each SIGTERM or SIGINT within the block; what the signal did before follows.

    In another thread than the main one it does nothing: signals come to the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        call()
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)
        elif earlier != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            # A handler that was set within the block stays.
            if signal.getsignal(number) is handle:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
