"""The command group `treadle`: its commands, loaded when they are called, and its errors."""

import sys
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any, cast

import click

import treadle
from treadle.cli.options import STORE_VARIABLE, store_option
from treadle.cli.terminal.failure import INTERRUPTED, STATUSES, failure_of
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.notes import write_note
from treadle.errors import TreadleError

# Each command's summary is repeated here, so that `treadle --help` need not import all commands,
# and with them every backend.
_COMMANDS = {
    "backup": ("backup:backup", "Copy a database file while the store is in use."),
    "certify": ("certify:certify_command", "Run the conformance suite on a backend."),
    "completion": (
        "completion:completion",
        "Write the script that completes `treadle` in a shell.",
    ),
    "copy": ("copy:copy", "Copy a store into another, of any kind."),
    "demo": ("demo:demo", "See it at work: a worker is killed, and nothing is lost."),
    "doctor": ("doctor:doctor", "Read everything in a store, and report what is damaged."),
    "documents": ("documents:documents", "Look at what agents know, and change it."),
    "erase": ("erase:erase", "Delete everything of one user."),
    "export": ("export:export_command", "Write threads as JSON Lines in the OpenAI chat format."),
    "import": ("import_:import_command", "Store conversations of a file or another program."),
    "mailboxes": ("mailboxes:mailboxes", "Look at queued work, and settle it by hand."),
    "migrate": ("migrate:migrate", "Bring the schema of a database up to date."),
    "runs": ("runs:runs", "Look at runs of agents, request them, and answer them."),
    "send": ("send:send", "Send work to a mailbox."),
    "serve": ("serve:serve", "Serve a store over HTTP."),
    "threads": ("threads:threads", "Look at conversations, and change them."),
    "watch": ("watch:watch", "Show what happens in a store, as it happens."),
    "work": ("work:work", "Run a handler on the entries of all mailboxes, or of some."),
}


class App(ExampleGroup):
    """The root group. It ends the command with the exit statuses of `terminal.failure`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such command."""
        if cmd_name not in _COMMANDS:
            return None
        target, _ = _COMMANDS[cmd_name]
        return cast("click.Command", resolve_name(f"treadle.cli.commands.{target}"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands and their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        _escape_unknown_characters()
        try:
            return super().invoke(ctx)
        except TreadleError as error:
            raise failure_of(error) from error
        except (KeyboardInterrupt, click.Abort):  # Abort: Ctrl-C at a question
            write_note()
            ctx.exit(INTERRUPTED)


def _escape_unknown_characters() -> None:
    """Write characters that the terminal's encoding lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@click.group(
    "treadle",
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=STATUSES,
    examples=(
        "treadle demo                                  # see it at work, in half a minute",
        "treadle import conversations.jsonl            # store conversations in ./agents",
        "treadle --store ./agents threads list",
        "treadle work my_agent:handle --processes 4    # process entries",
    ),
)
@store_option(variable=STORE_VARIABLE)
@click.version_option(treadle.__version__, prog_name="treadle")
def app() -> None:
    """Keep what AI agents must not lose: their threads, runs, mailboxes and documents."""
