"""The command group `weft`, and what happens to errors."""

import sys
from contextlib import suppress
from typing import Any

import click

import weft
from weft.cli.commands.backup import backup
from weft.cli.commands.certify import certify_command
from weft.cli.commands.completion import completion
from weft.cli.commands.copy import copy
from weft.cli.commands.demo import demo
from weft.cli.commands.doctor import doctor
from weft.cli.commands.export import export_command
from weft.cli.commands.import_ import import_command
from weft.cli.commands.mailboxes import mailboxes
from weft.cli.commands.migrate import migrate
from weft.cli.commands.runs import runs
from weft.cli.commands.send import send
from weft.cli.commands.threads import threads
from weft.cli.commands.work import work
from weft.cli.options import STORE_VARIABLE, store_option
from weft.cli.terminal.failure import INTERRUPTED, STATUSES, failure_of
from weft.cli.terminal.help import ExampleGroup
from weft.errors import WeftError

_COMMANDS = (
    backup,
    certify_command,
    completion,
    copy,
    demo,
    doctor,
    export_command,
    import_command,
    mailboxes,
    migrate,
    runs,
    send,
    threads,
    work,
)


class App(ExampleGroup):
    """The root: it ends the command with the exit status that `terminal.failure` tells."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        _allow_any_text()
        try:
            return super().invoke(ctx)
        except WeftError as error:
            raise failure_of(error) from error
        except (KeyboardInterrupt, click.Abort):  # Abort: at a question
            click.echo(err=True)
            ctx.exit(INTERRUPTED)


def _allow_any_text() -> None:
    """Show what the terminal's encoding lacks as an escape, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@click.group(
    "weft",
    cls=App,
    commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=STATUSES,
    examples=(
        "weft demo                                  see it at work, in half a minute",
        "weft import conversations.jsonl            keep conversations in ./agents",
        "weft --store ./agents threads list",
        "weft work my_agent:handle --processes 4    answer what comes into the mailboxes",
    ),
)
@store_option(variable=STORE_VARIABLE)
@click.version_option(weft.__version__, prog_name="weft")
def app() -> None:
    """Keep what AI agents must not lose: their threads, runs and mailboxes."""
