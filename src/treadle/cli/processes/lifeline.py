"""The pipe on a child's standard input: lines are orders, its end is the parent's.

So a child stops in good order when it is asked to, and never outlives its parent, on every system.
"""

import os
import sys
import threading
from collections.abc import Callable


def watch_lifeline(on_order: Callable[[str], None], on_end: Callable[[], None]) -> None:
    """Take over standard input: `on_order` gets its lines, `on_end` is called at its end.

    Both are called on a thread of their own. Whoever reads standard input from now on finds it
    empty.
    """
    lifeline = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)

    def watch() -> None:
        # Unbuffered: a daemon thread inside a buffered read would abort the interpreter's end.
        with os.fdopen(lifeline, "rb", buffering=0) as orders:
            while line := orders.readline():
                on_order(line.decode().strip())
        on_end()

    threading.Thread(target=watch, name="treadle-lifeline", daemon=True).start()
