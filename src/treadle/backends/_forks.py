"""Forks: a store belongs to the process that opened it, and a child opens one of its own."""

import os
from typing import Protocol
from weakref import WeakSet

from treadle.backends._closing import close_all
from treadle.errors import StoreClosed


class Inherited(Protocol):
    """An object with descriptors that a child has when its parent forks."""

    def give_up(self) -> None:
        """Close the descriptors of a child, and unlock nothing; called once, in the child."""
        ...


_inherited: "WeakSet[Inherited]" = WeakSet()


def give_up_in_children(holder: Inherited) -> None:
    """Have `holder.give_up` called in each child that this process forks.

    A child would otherwise keep the locks and sessions of a parent that has died: they last as long
    as any process has their descriptors.
    """
    _inherited.add(holder)


def require_process(process: int) -> None:
    """Check that this is the process with that id.

    Raises:
        StoreClosed: it was forked from that process.
    """
    if os.getpid() != process:
        raise StoreClosed("this process was forked from the one that opened it; open one here")


def _give_up() -> None:
    holders = tuple(_inherited)
    _inherited.clear()
    close_all(*(holder.give_up for holder in holders))  # each, whatever fails


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_give_up)
