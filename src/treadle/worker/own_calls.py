"""Which calls of a store are a worker's own, and none of its handlers': what traces leave out."""

from contextvars import ContextVar

_is_own: ContextVar[bool] = ContextVar("treadle_is_own_call", default=False)


def is_own_call() -> bool:
    """Return whether a worker calls the store for itself: to claim, to wait, to renew, to purge.

    What it writes to settle a delivery is a call of that delivery, unless it settles several at
    once.
    """
    return _is_own.get()


def begin_own_calls() -> None:
    """Begin the worker's own calls, in this context and in those that are copied from it."""
    _is_own.set(True)


def begin_calls_of_delivery() -> None:
    """Begin the calls of a delivery, in its context."""
    _is_own.set(False)
