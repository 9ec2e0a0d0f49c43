"""Code that runs around each call of a store, for traces and metrics.

The methods of the stores' classes are replaced while there is such code, and only then: a program
without it pays nothing.
"""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from typing import Any, TypeAlias

import treadle

Around: TypeAlias = Callable[[str, dict[str, Any]], AbstractContextManager[object]]
"""Returns a context in which a call runs.

It gets the name of the call, such as "threads.load" (or "commit", for each write), and its
arguments by name, which it may replace.
"""

_CLASSES: dict[str, type] = {
    "": treadle.Store,
    "threads.": treadle.Threads,
    "runs.": treadle.Runs,
    "mailboxes.": treadle.Mailboxes,
    "documents.": treadle.Documents,
}
_NOT_OBSERVED = {"open", "close", "mailboxes.wait"}

_arounds: list[Around] = []
_originals: dict[tuple[type, str], Any] = {}
_is_inside = ContextVar("is_inside", default=False)
"""Whether this is part of a call that is observed: `documents.load` is one call, not two."""


def observe_calls(around: Around) -> Callable[[], None]:
    """Run `around` at each call of every store of this process; return what ends it."""
    _arounds.append(around)
    if not _originals:
        _replace_methods()

    def end() -> None:
        if around in _arounds:
            _arounds.remove(around)
        if not _arounds:
            _restore_methods()

    return end


def _replace_methods() -> None:
    for prefix, kind in _CLASSES.items():
        for name, method in list(vars(kind).items()):
            operation = f"{prefix}{name}"
            is_public = not name.startswith("_") and operation not in _NOT_OBSERVED
            if is_public and inspect.iscoroutinefunction(method):
                _originals[kind, name] = method
                setattr(kind, name, _observed(operation, method))


def _restore_methods() -> None:
    for (kind, name), method in _originals.items():
        setattr(kind, name, method)
    _originals.clear()


def _observed(operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(*values: Any, **options: Any) -> Any:
        if _is_inside.get():
            return await method(*values, **options)
        bound = signature.bind(*values, **options)
        with ExitStack() as stack:
            stack.callback(_is_inside.reset, _is_inside.set(True))
            for around in tuple(_arounds):
                stack.enter_context(around(operation, bound.arguments))
            return await method(*bound.args, **bound.kwargs)

    return call
