"""The pipe to a child's standard input: each line is an order, and its end is the parent's end.

So a child stops when it is asked to, and never outlives its parent, on every operating system.
"""

import os
import sys
import threading
from collections.abc import Callable


def watch_lifeline(on_order: Callable[[str], None], on_end: Callable[[], None]) -> None:
    """Read orders from standard input, which is empty for all other readers from now on.

    Args:
        on_order: called with each line, on another thread.
        on_end: called at the end of standard input, on that thread.
    """
    lifeline = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)

    def watch() -> None:
        # Unbuffered: a daemon thread inside a buffered read makes the interpreter abort at exit.
        with os.fdopen(lifeline, "rb", buffering=0) as orders:
            while line := orders.readline():
                on_order(line.decode().strip())
        on_end()

    threading.Thread(target=watch, name="treadle-lifeline", daemon=True).start()
