"""Uses of SQLite, and forks, which wait for them.

SQLite has locks of its own in memory, such as that of its allocator, which all connections share. A
child that is forked while another thread holds one has it locked for ever, and would wait for it
with its first call. So a fork waits until no thread uses SQLite, and threads wait for a fork. If a
use takes too long, the child is forked nevertheless, and may not use SQLite.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import get_ident

_FORK_SECONDS = 1.0
"""How long a fork waits: other programs may keep a transaction waiting for longer."""
_PAUSE_SECONDS = 0.001

_users: dict[int, int] = {}
"""The threads that use SQLite, and how many of their uses are inside each other."""
_is_forking = False
_forked_in_use: int | None = None
"""The process that was forked last, or a parent of this one, if it used SQLite at that moment."""


def begin_use() -> None:
    """Note that this thread uses SQLite from now on; wait for a fork that is under way.

    Every transaction calls it, so it takes no lock: it changes `_users` before it reads
    `_is_forking`, and `_before_fork` does both the other way round.
    """
    thread = get_ident()
    before = _users.get(thread, 0)
    _users[thread] = before + 1
    while _is_forking and not before:  # a fork waits for the use around this one
        del _users[thread]
        time.sleep(_PAUSE_SECONDS)
        _users[thread] = 1


def end_use() -> None:
    """Note that the use of `begin_use` has ended."""
    thread = get_ident()
    if _users[thread] == 1:
        del _users[thread]
    else:
        _users[thread] -= 1


@contextmanager
def using_sqlite() -> Generator[None]:
    """Note that this thread uses SQLite in the block."""
    begin_use()
    try:
        yield
    finally:
        end_use()


def is_spoilt() -> bool:
    """Return True in a child that may not use SQLite, because its parent did when it was forked."""
    return _forked_in_use not in (None, os.getpid())


def _before_fork() -> None:
    global _is_forking, _forked_in_use  # noqa: PLW0603
    _is_forking = True
    if is_spoilt():  # and so is a child
        return
    end = time.monotonic() + _FORK_SECONDS
    while _users and time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
    _forked_in_use = os.getpid() if _users else None


def _after_fork() -> None:
    global _is_forking  # noqa: PLW0603
    _is_forking = False


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
