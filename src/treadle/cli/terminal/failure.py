"""Failures, told on standard error, and the exit statuses of all commands."""

from typing import IO, Any

import click

from treadle.errors import TreadleError

FAILED = 1
INTERRUPTED = 130
"""After Ctrl-C, as shells have it: 128 and the signal's number."""

STATUSES = (
    f"Exit status: 0, done; {FAILED}, it failed, or something is wrong in what was looked at; "
    f"{click.UsageError.exit_code}, wrong usage: nothing was tried; {INTERRUPTED}, Ctrl-C."
)
"""What `treadle --help` says of them."""


class Failure(click.ClickException):
    """Ends the command with `treadle: message`: what happened, to what, and what to do."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"treadle: {self.message}", file=file, err=True)


def describe(error: TreadleError) -> str:
    """The error on one line; drivers say more than one, and indent them."""
    return " ".join(line.strip() for line in str(error).splitlines())


def failure_of(error: TreadleError) -> Failure:
    """The error as a failure of the command."""
    return Failure(describe(error))
