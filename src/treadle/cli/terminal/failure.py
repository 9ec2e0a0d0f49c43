"""Failures, reported on standard error, and the exit statuses of all commands."""

from typing import IO, Any

import click

from treadle.cli.terminal.notes import write_note
from treadle.errors import TreadleError

FAILED = 1
INTERRUPTED = 130
"""After Ctrl-C, as in shells: 128 plus the number of the signal."""

PIPE_CLOSED = 141
"""The reader of standard output has gone, as in `treadle export | head`: 128 plus SIGPIPE."""

STATUSES = (
    f"Exit status: 0, success; {FAILED}, failure, or problems were found; "
    f"{click.UsageError.exit_code}, wrong usage: nothing was done; {INTERRUPTED}, Ctrl-C; "
    f"{PIPE_CLOSED}, the reader of a pipe has gone."
)
"""The exit statuses, for `treadle --help`."""


class Failure(click.ClickException):
    """Ends the command with `treadle: message`, which says what failed and what to do.

    Args:
        message: the line.
        trace: the traceback of code that is the user's own; it is written above the line.
    """

    exit_code = FAILED

    def __init__(self, message: str, *, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line, below the traceback."""
        for line in self.trace.splitlines():
            write_note(line)
        write_note(f"treadle: {self.message}")


def describe(error: TreadleError) -> str:
    """Return the error on one line; a driver's error may have several, indented ones."""
    return " ".join(line.strip() for line in str(error).splitlines())


def failure_of(error: TreadleError) -> Failure:
    """Return the error as a failure of the command."""
    return Failure(describe(error))
