"""Failures, reported on standard error, and the exit statuses of all commands."""

from typing import IO, Any

import click

from treadle.errors import TreadleError

FAILED = 1
INTERRUPTED = 130
"""After Ctrl-C, as in shells: 128 plus the number of the signal."""

STATUSES = (
    f"Exit status: 0, success; {FAILED}, failure, or problems were found; "
    f"{click.UsageError.exit_code}, wrong usage: nothing was done; {INTERRUPTED}, Ctrl-C."
)
"""The exit statuses, for `treadle --help`."""


class Failure(click.ClickException):
    """Ends the command with `treadle: message`, which says what failed and what to do."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"treadle: {self.message}", file=file, err=True)


def describe(error: TreadleError) -> str:
    """Return the error on one line; a driver's error may have several, indented ones."""
    return " ".join(line.strip() for line in str(error).splitlines())


def failure_of(error: TreadleError) -> Failure:
    """Return the error as a failure of the command."""
    return Failure(describe(error))
