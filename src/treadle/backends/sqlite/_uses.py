"""Uses of SQLite, and forks, which wait for them.

SQLite has locks of its own in memory, such as that of its allocator, which all connections share. A
child that is forked while another thread holds one has it locked for ever, and would wait for it
with its first call. So a fork waits until no thread uses SQLite, and threads wait for a fork. If
either takes too long, both go on nevertheless, and the child may not use SQLite.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import get_ident

_FORK_SECONDS = 1.0
"""How long a fork waits: other programs may keep a transaction waiting for longer."""
_USE_SECONDS = 2.0
"""How long a use waits for a fork: the forking thread may itself wait for the thread that begins to
use SQLite, such as in a hook of another library."""
_PAUSE_SECONDS = 0.001

_users: dict[int, int] = {}
"""The threads that use SQLite, and how many of their uses are inside each other."""
_forks: dict[int, None] = {}
"""The threads that fork."""
_unsafe_forks: dict[int, None] = {}
"""Those of them that fork, or may fork, while SQLite is in use."""
_is_spoilt = False


def begin_use() -> None:
    """Note that this thread uses SQLite from now on; wait for forks that are under way.

    Every transaction calls it, so it takes no lock: it changes `_users` before it reads `_forks`,
    and `_before_fork` does both the other way round.
    """
    thread = get_ident()
    before = _users.get(thread, 0)
    _users[thread] = before + 1
    if _forks and not before:  # a fork waits for the use around this one
        _wait_for_forks(thread)


def _wait_for_forks(thread: int) -> None:
    end = time.monotonic() + _USE_SECONDS
    while _forks and time.monotonic() < end:
        _users.pop(thread, None)
        time.sleep(_PAUSE_SECONDS)
        _users[thread] = 1
    _unsafe_forks.update(_forks)


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
    return _is_spoilt


def _before_fork() -> None:
    thread = get_ident()
    _unsafe_forks[thread] = None  # until it is known that nobody uses SQLite, whatever happens
    _forks[thread] = None
    end = time.monotonic() + _FORK_SECONDS
    while _users and time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
    if not _users:
        del _unsafe_forks[thread]
        # a use that would not wait any longer may have begun meanwhile
        if _users:
            _unsafe_forks[thread] = None


def _after_fork_in_parent() -> None:
    thread = get_ident()
    _forks.pop(thread, None)
    _unsafe_forks.pop(thread, None)


def _after_fork_in_child() -> None:
    global _is_spoilt  # noqa: PLW0603
    _is_spoilt = _is_spoilt or get_ident() in _unsafe_forks
    uses = _users.get(get_ident())
    for each in (_users, _forks, _unsafe_forks):
        each.clear()  # the other threads are the parent's
    if uses is not None:
        _users[get_ident()] = uses


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
