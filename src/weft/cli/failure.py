"""Failures: one line on standard error, with advice, and exit status 1."""

from typing import IO, Any

import click

from weft.errors import WeftError

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and the signal's number."""


class Failure(click.ClickException):
    """Ends the command with `weft: message`."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"weft: {self.message}", file=file, err=True)


def describe(error: WeftError) -> str:
    """The error on one line."""
    return " ".join(str(error).splitlines())


def failure_of(error: WeftError) -> Failure:
    """The error as a failure of the command."""
    return Failure(describe(error))
