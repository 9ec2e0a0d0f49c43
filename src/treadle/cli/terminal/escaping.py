"""Log records made harmless: what a terminal obeys or hides is written as an escape."""

import logging
from types import TracebackType
from typing import TypeAlias

from treadle.core.escaping import one_line, printable

_ExceptionInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class HarmlessFormatter(logging.Formatter):
    """Formats log records: a message on one line, and below it an indented traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the record without its traceback, on one line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        """Return the traceback, indented: no line of it can be taken for another record."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Return the stack, indented."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in printable(text).split("\n"))
