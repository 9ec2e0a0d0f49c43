"""The command group `treadle`, and what happens to errors."""

import sys
from contextlib import suppress
from typing import Any

import click

import treadle
from treadle.cli.commands.backup import backup
from treadle.cli.commands.certify import certify_command
from treadle.cli.commands.completion import completion
from treadle.cli.commands.copy import copy
from treadle.cli.commands.demo import demo
from treadle.cli.commands.doctor import doctor
from treadle.cli.commands.export import export_command
from treadle.cli.commands.import_ import import_command
from treadle.cli.commands.mailboxes import mailboxes
from treadle.cli.commands.migrate import migrate
from treadle.cli.commands.runs import runs
from treadle.cli.commands.send import send
from treadle.cli.commands.threads import threads
from treadle.cli.commands.work import work
from treadle.cli.options import STORE_VARIABLE, store_option
from treadle.cli.terminal.failure import INTERRUPTED, STATUSES, failure_of
from treadle.cli.terminal.help import ExampleGroup
from treadle.errors import TreadleError

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
        except TreadleError as error:
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
    "treadle",
    cls=App,
    commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=STATUSES,
    examples=(
        "treadle demo                                  see it at work, in half a minute",
        "treadle import conversations.jsonl            keep conversations in ./agents",
        "treadle --store ./agents threads list",
        "treadle work my_agent:handle --processes 4    answer what comes into the mailboxes",
    ),
)
@store_option(variable=STORE_VARIABLE)
@click.version_option(treadle.__version__, prog_name="treadle")
def app() -> None:
    """Keep what AI agents must not lose: their threads, runs and mailboxes."""
