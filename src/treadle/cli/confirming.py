"""The question before something is deleted for good, and the option that answers it."""

import sys

import click

from treadle.cli.terminal.failure import Failure

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
"""The option `--yes`."""


def confirm_deletion(what: str) -> None:
    """Ask before `what` is deleted.

    Raises:
        UsageError: there is no terminal to ask on.
        Failure: the answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"deleting {what} needs --yes when there is no terminal to ask on")
    if not click.confirm(f"Delete {what}?", err=True):
        raise Failure("nothing was deleted")
