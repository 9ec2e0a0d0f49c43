"""The command group `weft`, and what happens to errors."""

import sys
from contextlib import suppress
from typing import Any

import click

import weft
from weft.cli.backup import backup
from weft.cli.certify import certify_command
from weft.cli.completion import completion
from weft.cli.copy import copy
from weft.cli.demo.command import demo
from weft.cli.doctor import doctor
from weft.cli.examples import ExampleGroup
from weft.cli.exporting import export_command
from weft.cli.failure import INTERRUPTED, failure_of
from weft.cli.importing import import_command
from weft.cli.mailboxes import mailboxes
from weft.cli.migrate import migrate
from weft.cli.opening import STORE_VARIABLE, store_option
from weft.cli.runs import runs
from weft.cli.send import send
from weft.cli.threads import threads
from weft.cli.work import work
from weft.errors import WeftError


class App(ExampleGroup):
    """The root: errors of Weft end the command with one line and status 1, Ctrl-C with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        _allow_any_text()
        try:
            return super().invoke(ctx)
        except WeftError as error:
            raise failure_of(error) from error
        except KeyboardInterrupt:
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
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        "weft demo                                  see it at work, in half a minute",
        "weft import conversations.jsonl            keep conversations in ./weft-store",
        "weft --store ./agents threads list",
        "weft work my_agent:handle --processes 4    answer what comes into the mailboxes",
    ),
)
@store_option(variable=STORE_VARIABLE)
@click.version_option(weft.__version__, prog_name="weft")
def app() -> None:
    """Keep what AI agents must not lose: their threads, runs and mailboxes."""


for _command in (
    demo,
    import_command,
    export_command,
    send,
    work,
    doctor,
    migrate,
    backup,
    certify_command,
    copy,
    completion,
):
    app.add_command(_command)
for _group in (threads, runs, mailboxes):
    app.add_command(_group)
