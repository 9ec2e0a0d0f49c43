"""Checks of what a worker is given, made when it is constructed."""

import inspect
import math
from random import Random

from treadle.errors import InvalidValue, shorten
from treadle.store.store import Store


def check_store(store: object) -> None:
    """Check that a worker gets a store.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(store, Store):
        reason = f"it must be a store from `treadle.open_store`, not a {type(store).__name__}"
        raise InvalidValue("store", reason)


def check_handler(handler: object) -> None:
    """Check that a handler can be called with a delivery, and that the call does its work.

    Raises:
        InvalidValue: it is not a function, takes other arguments, or is a generator.
    """
    if not callable(handler) or inspect.isclass(handler):
        reason = f"it must be a function that takes a delivery, not {shorten(handler)}"
        raise InvalidValue("handler", reason)
    if is_generator(handler):
        reason = "it has a `yield`, so calling it would do nothing; take the `yield` out"
        raise InvalidValue("handler", reason)
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        reason = f"it must take one argument, the delivery: {error}"
        raise InvalidValue("handler", reason) from error
    except ValueError:  # some functions in C do not say what they take
        return


def is_generator(function: object) -> bool:
    """Return whether a function, or what an object is called by, is a generator."""
    call = getattr(function, "__call__", None)  # noqa: B004
    return any(
        inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each)
        for each in (function, call)
    )


def check_hook(hook: object) -> None:
    """Check that a hook is a plain function.

    Raises:
        InvalidValue: it is none, or has to be awaited, which nobody does.
    """
    call = getattr(hook, "__call__", None)  # noqa: B004
    if not callable(hook):
        raise InvalidValue("on_event", f"it must be a function, not {shorten(hook)}")
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(call):
        reason = "it must be a plain function: it is called on the event loop and not awaited"
        raise InvalidValue("on_event", reason)


def check_dead_letter_hook(hook: object) -> None:
    """Check that a hook for dead letters is None, or takes an event and a batch.

    Raises:
        InvalidValue: it is something else.
    """
    if hook is None:
        return
    if not callable(hook) or is_generator(hook):
        reason = f"it must be a function that takes an event and a batch, not {shorten(hook)}"
        raise InvalidValue("on_dead_letter", reason)
    try:
        inspect.signature(hook).bind(None, None)
    except TypeError as error:
        reason = f"it must take two arguments, the event and the batch: {error}"
        raise InvalidValue("on_dead_letter", reason) from error
    except ValueError:  # some functions in C do not say what they take
        return


def check_clock(clock: object) -> None:
    """Check that a clock tells the time and takes alarms.

    Raises:
        InvalidValue: it does not.
    """
    if clock is None:
        return
    for name in ("time", "call_later"):
        if not callable(getattr(clock, name, None)):
            raise InvalidValue("clock", f"it must have a method {name!r}, as an event loop has")
    now = clock.time()  # type: ignore[attr-defined]
    if type(now) not in (int, float) or not math.isfinite(now):
        raise InvalidValue("clock", f"its time must be a number of seconds, not {shorten(now)}")


def check_random(random: object) -> None:
    """Check that jitter can be drawn.

    Raises:
        InvalidValue: it is not a source of random numbers.
    """
    if random is not None and not isinstance(random, Random):
        raise InvalidValue("random", f"it must be a random.Random, not {shorten(random)}")
