"""Lines on standard error."""

from contextlib import suppress

import click

from treadle.core.escaping import one_line


def write_note(line: str = "") -> None:
    """Write a line to standard error, if that can be written to."""
    with suppress(OSError):  # it would be the only way to report that
        click.echo(one_line(line), err=True)
