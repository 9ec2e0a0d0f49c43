"""`treadle work`: process the entries of mailboxes, in one process or several."""

import asyncio
import logging
import sys
from typing import get_args

import click

import treadle
from treadle.backends.urls import without_password
from treadle.cli import event_loop
from treadle.cli.commands.work.event_lines import EventLines
from treadle.cli.commands.work.health import serving_health
from treadle.cli.logging import LogForm, log_to_stderr
from treadle.cli.opening import check_possible
from treadle.cli.options import STORE_VARIABLE, chosen_store, duration, store_option
from treadle.cli.processes.lifeline import watch_lifeline
from treadle.cli.processes.supervisor import Supervisor
from treadle.cli.targets import load_handler
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.notes import write_note
from treadle.worker import Backoff, Handler, Worker, log_events


@click.command(
    "work",
    cls=ExampleCommand,
    examples=(
        "treadle work my_agent:handle",
        "treadle work my_agent:handle --processes 4 --concurrency 16",
        "treadle work my_agent:handle --max-attempts 20 --backoff 5s --max-backoff 1h",
        "treadle work my_agent:handle --log json --healthz 8080",
        "treadle work my_agent:handle --json | jq -c 'select(.event == \"dead_lettered\")'",
        "treadle work my_mail:send --mailbox-prefix emails:",
        "treadle work my_agent:handle --until-idle        # in a test, or from cron",
    ),
)
@store_option()
@click.argument("target", metavar="MODULE:HANDLER")
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many worker processes.",
)
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="How many handlers run at a time in each process.",
)
@click.option(
    "--coalesce",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many due entries of a mailbox one call of the handler gets at most.",
)
@click.option(
    "--lease-ms",
    metavar="N",
    type=click.IntRange(min=1),
    default=30_000,
    show_default=True,
    help="How long a claim outlives its process, in milliseconds; live workers renew theirs.",
)
@click.option(
    "--max-attempts",
    metavar="N",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="After how many failed attempts an entry becomes a dead letter. If its process died with "
    "the last one, it gets three more, with nothing beside it.",
)
@click.option(
    "--backoff",
    metavar="DURATION",
    type=duration,
    default="1s",
    show_default=True,
    help="The longest wait after the first failure of an entry; each further failure doubles it.",
)
@click.option(
    "--max-backoff",
    metavar="DURATION",
    type=duration,
    default="5m",
    show_default=True,
    help="The longest wait after any failure.",
)
@click.option(
    "--grace",
    metavar="DURATION",
    type=duration,
    default="10s",
    show_default=True,
    help="How long running handlers may go on after a stop signal: 10s, 2m.",
)
@click.option(
    "--purge-after",
    metavar="DURATION",
    type=duration,
    help="Remove entries this long after they ended: 12h, 7d.  [default: never]",
)
@click.option(
    "--purge-documents/--no-purge-documents",
    default=None,
    help="Remove documents once they have expired.  [default: with --purge-after]",
)
@click.option("--mailbox", metavar="ID", help="Process only this mailbox.")
@click.option(
    "--mailbox-prefix",
    "mailbox_prefixes",
    metavar="TEXT",
    multiple=True,
    help="Process only mailboxes whose ids begin so; may be given several times.",
)
@click.option(
    "--except-prefix",
    "except_prefixes",
    metavar="TEXT",
    multiple=True,
    help="Process no mailbox whose id begins so; may be given several times.",
)
@click.option(
    "--until-idle",
    is_flag=True,
    help="End when no entry is queued or claimed, except in paused mailboxes.",
)
@click.option(
    "--log",
    "log_form",
    type=click.Choice(get_args(LogForm)),
    default="text",
    show_default=True,
    help="Write logs as text, or as one JSON object a line.",
)
@click.option(
    "--healthz",
    metavar="PORT",
    type=click.IntRange(1, 65_535),
    help="Answer GET /healthz at this port: 200, or 503 while the store cannot be reached.",
)
@click.option("--json", "as_json", is_flag=True, help="Write each event as one JSON object a line.")
@click.option("--verbose", "-v", is_flag=True, help="Log every claim.")
@click.option("--child", is_flag=True, hidden=True)
def work(  # noqa: PLR0913, PLR0917
    target: str,
    processes: int,
    concurrency: int,
    coalesce: int,
    lease_ms: int,
    max_attempts: int,
    backoff: int,
    max_backoff: int,
    grace: int,
    purge_after: int | None,
    purge_documents: bool | None,
    mailbox: str | None,
    mailbox_prefixes: tuple[str, ...],
    except_prefixes: tuple[str, ...],
    until_idle: bool,
    log_form: LogForm,
    healthz: int | None,
    as_json: bool,
    verbose: bool,
    child: bool,
) -> None:
    """Run a handler on the entries of all mailboxes, or of some.

    HANDLER is `async def handle(delivery)` in MODULE, which may be in the current folder. After
    SIGTERM or Ctrl-C, running handlers finish, and the exit status is 0. With --processes, a
    process that dies is restarted.

    --json: one line for each event: {"event", "time", "process", ...}. Those about an entry have
    "entry_id", "mailbox_id" and "attempt". Logs go to standard error as before.
    """
    if healthz is not None and processes > 1:
        raise click.UsageError("--healthz is about one process; leave --processes out")
    if not 1 <= backoff <= max_backoff:
        raise click.UsageError("--backoff is at least 1ms, and at most as long as --max-backoff")
    check_possible(chosen_store())
    handler = load_handler(target)
    log_to_stderr(log_form, verbose=verbose)
    if processes > 1:
        _supervise(processes, until_idle=until_idle, grace_s=grace / 1000, form=log_form)
        return

    lines = EventLines()

    async def run() -> None:
        async with treadle.open_store(chosen_store()) as store:
            worker = Worker(
                store,
                handler,
                concurrency=concurrency,
                coalesce=coalesce,
                lease_ms=lease_ms,
                max_attempts=max_attempts,
                backoff=Backoff(base_ms=backoff, max_ms=max_backoff),
                mailbox_id=mailbox,
                mailbox_prefix=mailbox_prefixes or None,
                except_prefix=except_prefixes,
                grace_ms=grace,
                purge_after_ms=purge_after,
                purge_documents=purge_documents,
                on_event=lines if as_json else log_events,
            )
            lines.stop = worker.stop
            if child:
                watch_lifeline(lambda order: None, worker.stop)
            async with serving_health(healthz, lambda: worker.failing):
                await worker.run(until_idle=until_idle, handle_signals=True)

    if not child:
        _announce(_name(handler, target), log_form)
    event_loop.run(run())
    lines.require_written()


def _supervise(processes: int, *, until_idle: bool, grace_s: float, form: LogForm) -> None:
    _announce(f"{processes} processes; Ctrl-C stops them", form)

    def note(line: str) -> None:
        _note(f"treadle: {line}", form)

    environment = {STORE_VARIABLE: chosen_store()}
    supervisor = Supervisor(
        _child_arguments(),
        until_idle=until_idle,
        grace_s=grace_s,
        note=note,
        environment=environment,
    )
    if not asyncio.run(supervisor.run(processes)):
        raise Failure("a process died too often; see its messages above")


def _announce(workers: str, form: LogForm) -> None:
    _note(f"working {without_password(chosen_store())} with {workers}", form)


def _note(line: str, form: LogForm) -> None:
    """Write a line to standard error; among JSON logs it is one of them."""
    if form == "json":
        logging.getLogger("treadle.work").info("%s", line)
    else:
        write_note(line)


def _child_arguments() -> list[str]:
    """Return the arguments of this command for a child process, which watches its lifeline."""
    context = click.get_current_context()
    given = context.params
    options = ["--concurrency", "--coalesce", "--lease-ms", "--max-attempts", "--mailbox"]
    form = given["log_form"]
    arguments = [sys.executable, "-m", "treadle", "work", "--child"]
    for option in options:
        value = given[option.removeprefix("--").replace("-", "_")]
        arguments += [] if value is None else [option, str(value)]
    for option in ("--mailbox-prefix", "--except-prefix"):
        for prefix in given[f"{option.removeprefix('--').replace('-', '_')}es"]:
            arguments.append(f"{option}={prefix}")
    for option in ("--backoff", "--max-backoff", "--grace", "--purge-after"):
        value = given[option.removeprefix("--").replace("-", "_")]
        arguments += [] if value is None else [option, f"{value}ms"]
    if given["purge_documents"] is not None:
        arguments += ["--purge-documents" if given["purge_documents"] else "--no-purge-documents"]
    arguments += ["--until-idle"] if given["until_idle"] else []
    arguments += ["--log", form] if form != "text" else []
    arguments += ["--json"] if given["as_json"] else []
    arguments += ["--verbose"] if given["verbose"] else []
    return [*arguments, "--", given["target"]]


def _name(handler: Handler, target: str) -> str:
    return getattr(handler, "__qualname__", None) or target
