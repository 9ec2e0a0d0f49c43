"""Standard input and output when they are closed, full, or without a reader."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from treadle.cli.terminal.failure import PIPE_CLOSED, Failure


def reopen_closed() -> None:
    """Open the null device for each standard file with which the command was not started.

    Otherwise the first file that the command opens, such as a database, has the number of standard
    output, and a library that writes there writes into it. Writing still fails, as it does for
    other commands: the null device is open for reading only.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


@contextmanager
def writing_output() -> Generator[None]:
    """End the command if what the block writes to standard output cannot be written.

    Raises:
        Failure: there is no room, or standard output is closed.
        Exit: its reader has gone, as in `treadle export | head`; that is not a failure.
    """
    try:
        yield
    except BrokenPipeError:
        _discard_output()
        raise click.exceptions.Exit(PIPE_CLOSED) from None
    except OSError as error:
        _discard_output()
        raise Failure(f"standard output cannot be written: {error.strerror or error}") from error


def _discard_output() -> None:
    """Drop what standard output still holds: Python would try to write it again at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
