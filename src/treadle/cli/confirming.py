"""The question before something is deleted for good, and the option that answers it."""

import sys
from collections.abc import Callable

import click

from treadle.cli.terminal.failure import Failure
from treadle.core.escaping import one_line

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
"""The option `--yes`."""


def confirm_deletion(what: str, extent: Callable[[], str] | None = None) -> None:
    """Ask before `what` is deleted; `extent` says how much that is, once it is clear that we ask.

    Raises:
        UsageError: there is no terminal to ask on.
        Failure: the answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"deleting {what} needs --yes when there is no terminal to ask on")
    question = f"Delete {what}?" if extent is None else f"Delete {what}: {extent()}?"
    if not click.confirm(one_line(question), err=True):
        raise Failure("nothing was deleted")
