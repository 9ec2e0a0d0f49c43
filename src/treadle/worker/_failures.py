"""What a handler has raised: its text, its traceback, and whether the process itself has to end."""

import asyncio
import dis
import traceback
from typing import cast

ERROR_LENGTH = 2_000
"""Maximum length of the error text that is stored with an entry, in characters."""
TRACEBACK_LENGTH = 4_000
"""Maximum length of the traceback that is stored with an entry: of the end, which has the cause."""
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
    try:
        return repr(error)
    except BaseException as failure:
        if is_of_process(failure):
            raise
        return type(error).__name__


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
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(_CALLERS):
        trace = trace.tb_next
    begin = error.__traceback__ if trace is None else trace
    text = "".join(traceback.format_exception(type(error), error, begin)).rstrip()
    storable = text.encode("utf-8", "backslashreplace").decode()
    if len(storable) <= TRACEBACK_LENGTH:
        return storable
    return f"…{storable[1 - TRACEBACK_LENGTH :]}"


def describe_error(error: BaseException) -> str:
    """Return the error's type and message, in at most `ERROR_LENGTH` characters of valid UTF-8."""
    # a lone surrogate cannot be stored
    storable = _describe(error).encode("utf-8", "backslashreplace").decode()
    if len(storable) <= ERROR_LENGTH:
        return storable
    return f"{storable[: ERROR_LENGTH - 1]}…"


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    try:
        message = str(error)
    except BaseException as failure:
        if is_of_process(failure):
            raise
        message = f"(its message failed with {type(failure).__name__})"
    text = f"{name}: {message}" if message else name
    if not isinstance(error, BaseExceptionGroup):
        return text
    group = cast("BaseExceptionGroup[BaseException]", error)
    return f"{text} [{'; '.join(_describe(inner) for inner in group.exceptions)}]"
