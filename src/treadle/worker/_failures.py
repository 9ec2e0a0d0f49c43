"""What a handler has raised: its text, its traceback, and whether the process itself has to end."""

import asyncio
import dis
import traceback
from collections.abc import Callable
from types import FrameType
from typing import cast

ERROR_LENGTH = 2_000
"""Maximum length of the error text that is stored with an entry, in characters."""
TRACEBACK_LENGTH = 4_000
"""Maximum length of the traceback that is stored with an entry: of the end, which has the cause."""
_GROUPS = 10
"""How many groups of errors within each other are described: a handler may nest thousands."""
_CALLERS = ("treadle.worker.", "asyncio.", "concurrent.")
"""The modules between the loop of a worker and its handler."""


def failure_of(error: BaseException) -> Exception:
    """Return the error of a handler, or one that stands for what would end more than its entry.

    `SystemExit` and `KeyboardInterrupt` end an event loop; `StopIteration` fits in no future.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"the handler raised {_repr_of(error)}")
    failure.__cause__ = error
    return failure


def _repr_of(error: BaseException) -> str:
    return _attempted(lambda: repr(error), lambda _: type(error).__name__)


def _attempted(read: Callable[[], str], instead: Callable[[BaseException], str]) -> str:
    """Return what is read of an error of a handler, which may have code of its own that fails."""
    try:
        return read()
    except BaseException as failure:
        if is_of_process(failure):
            raise
        return instead(failure)


def is_of_process(error: BaseException) -> bool:
    """Return whether an error is Ctrl-C, and was not raised by a `raise` in a handler or a hook."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__") == asyncio.runners.__name__:
        return True
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] != dis.opmap["RAISE_VARARGS"]


def trace_of(error: BaseException) -> str:
    """Return the end of an error's traceback, in at most `TRACEBACK_LENGTH` characters.

    It begins at the handler: how the worker has called it helps nobody.
    """
    text = _attempted(
        lambda: _formatted(error),
        lambda failure: f"(its traceback failed with {type(failure).__name__})",
    )
    storable = text.encode("utf-8", "backslashreplace").decode()
    if len(storable) <= TRACEBACK_LENGTH:
        return storable
    return f"…{storable[1 - TRACEBACK_LENGTH :]}"


def _formatted(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and _module_of(trace.tb_frame).startswith(_CALLERS):
        trace = trace.tb_next
    begin = error.__traceback__ if trace is None else trace
    return "".join(traceback.format_exception(type(error), error, begin)).rstrip()


def _module_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""  # code that was executed with globals of its own


def describe_error(error: BaseException) -> str:
    """Return the error's type and message, in at most `ERROR_LENGTH` characters of valid UTF-8."""
    # a lone surrogate cannot be stored
    storable = _describe(error, _GROUPS).encode("utf-8", "backslashreplace").decode()
    if len(storable) <= ERROR_LENGTH:
        return storable
    return f"{storable[: ERROR_LENGTH - 1]}…"


def _describe(error: BaseException, groups: int) -> str:
    name = type(error).__name__
    message = _attempted(
        lambda: str(error), lambda failure: f"(its message failed with {type(failure).__name__})"
    )
    text = f"{name}: {message}" if message else name
    if not isinstance(error, BaseExceptionGroup):
        return text
    if not groups:
        return f"{text} […]"
    group = cast("BaseExceptionGroup[BaseException]", error)
    return f"{text} [{'; '.join(_describe(inner, groups - 1) for inner in group.exceptions)}]"
