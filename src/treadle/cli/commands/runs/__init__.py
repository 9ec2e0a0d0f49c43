"""`treadle runs`: list, show, request and answer runs, and sum what they have used."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import partial
from typing import Literal, get_args

import click

from treadle.cli.commands.runs.deletions import delete
from treadle.cli.opening import change_store, read_store, write_store
from treadle.cli.options import after_option, json_option, limit_option, store_option
from treadle.cli.paging import write_found
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleGroup
from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import (
    time_text,
    write_fields,
    write_json,
    write_line,
    write_table,
)
from treadle.cli.terminal.tables import Column
from treadle.cli.values import read_value
from treadle.clock import new_id
from treadle.core.codec import Json, to_plain
from treadle.core.cursors import CursorPage
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import Message
from treadle.core.run_queries import RunKey
from treadle.core.run_requests import Answer, AnswerStatus, RunRequest
from treadle.core.run_waits import requests_run
from treadle.core.runs import RunOrigin, RunRecord, RunStatus, asks_nobody
from treadle.core.usage import Usage, UsageKey, UsageReport
from treadle.errors import NotFound
from treadle.store.store import Store

_COLUMNS = (
    Column("run", whole=True),
    Column("thread"),
    Column("agent"),
    Column("status", whole=True),
    Column("ended with"),
    Column("created", whole=True),
    Column("updated", whole=True),
    Column("tokens", right=True),
)
_USAGE_COLUMNS = (
    Column("runs", right=True),
    Column("input tokens", right=True),
    Column("output tokens", right=True),
)
_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group(
    "runs",
    cls=ExampleGroup,
    examples=(
        "treadle runs list --status running",
        "treadle runs answer bike-turn-1 --text yes",
        "treadle runs usage --by day",
    ),
)
def runs() -> None:
    """Look at runs of agents, request them, and answer them."""


@runs.command(
    "list",
    examples=(
        "treadle runs list --status running --status waiting",
        "treadle runs list --waits-for answer",
        "treadle runs list --owner user-17 --by updated_at",
        "treadle runs list --json | jq -r '.items[].run_id'",
    ),
)
@store_option()
@click.option("--thread", metavar="ID", help="Only on this thread.")
@click.option("--owner", metavar="ID", help="Only on threads of this owner.")
@click.option("--parent", metavar="RUN", help="Only children of this run.")
@click.option("--agent", metavar="ID", help="Only of this agent.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(get_args(RunStatus)),
    multiple=True,
    help="Only with this status; may be repeated.",
)
@click.option(
    "--waits-for",
    type=click.Choice(["answer", "work"]),
    help="Only runs that wait: for somebody's answer, or for other work, such as other agents.",
)
@click.option("--origin", type=click.Choice(get_args(RunOrigin)), help="Only from this origin.")
@click.option(
    "--by",
    type=click.Choice(get_args(RunKey)),
    default="created_at",
    show_default=True,
    help="Sort by this time.",
)
@after_option
@limit_option
@json_option
def list_runs(  # noqa: PLR0913, PLR0917
    thread: str | None,
    owner: str | None,
    parent: str | None,
    agent: str | None,
    statuses: tuple[RunStatus, ...],
    waits_for: Literal["answer", "work"] | None,
    origin: RunOrigin | None,
    by: RunKey,
    after: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, newest first.

    A run that waits and asks nobody, because it waits for other work, has the status
    "waiting (work)". In JSON, its `metadata` has `"asks": false`.

    --json: {"items": [run records], "next_cursor"}.
    """

    async def read(store: Store) -> CursorPage[RunRecord]:
        search = partial(
            store.runs.search,
            by=by,
            thread_id=thread,
            resource_id=owner,
            parent_run_id=parent,
            agent_id=agent,
            origin=origin,
            statuses=statuses or None,
            asks=None if waits_for is None else waits_for == "answer",
        )
        return await search(after=after, limit=limit)

    write_found(read_store(read), _COLUMNS, _cells, as_json=as_json, plain=to_plain)


@runs.command(
    "usage",
    examples=(
        "treadle runs usage --by day --since 2026-11-01",
        "treadle runs usage --by owner --since 2026-11-01 --until 2026-12-01",
        "treadle runs usage --by agent --json | jq '.items[0]'",
    ),
)
@store_option()
@click.option(
    "--by",
    type=click.Choice(get_args(UsageKey)),
    default="day",
    show_default=True,
    help="One sum for each.",
)
@click.option("--since", type=_DATE, help="Only runs created from this day or time on, in UTC.")
@click.option("--until", type=_DATE, help="Only runs created before this day or time, in UTC.")
@click.option("--thread", metavar="ID", help="Only on this thread.")
@click.option("--owner", metavar="ID", help="Only on threads of this owner.")
@click.option("--agent", metavar="ID", help="Only of this agent.")
@json_option
def show_usage(
    by: UsageKey,
    since: datetime | None,
    until: datetime | None,
    thread: str | None,
    owner: str | None,
    agent: str | None,
    as_json: bool,
) -> None:
    """Sum the tokens of runs.

    --json: {"items": [{"key", "runs", "input_tokens", "output_tokens"}]}.
    """

    def read(store: Store) -> Awaitable[UsageReport]:
        return store.runs.usage(
            by=by,
            since=_milliseconds(since),
            until=_milliseconds(until),
            thread_id=thread,
            resource_id=owner,
            agent_id=agent,
        )

    report = read_store(read)
    if as_json:
        write_json({"items": [to_plain(usage) for usage in report.items]})
        return
    columns = (Column(by, whole=True), *_USAGE_COLUMNS)
    write_table(columns, [_usage_cells(usage) for usage in report.items])
    for name in report.unreadable:
        write_note(f"{name} cannot be read; see `treadle doctor`")


@runs.command(
    "show",
    examples=(
        "treadle runs show bike-squeaky-brakes-turn-1",
        "treadle runs show bike-squeaky-brakes-turn-1 --json",
    ),
)
@store_option()
@click.argument("run_id", metavar="RUN")
@json_option
def show_run(run_id: str, as_json: bool) -> None:
    """Show a run.

    --json: the run record.
    """

    async def load(store: Store) -> tuple[RunRecord | None, MailboxEntry | None]:
        return await store.runs.load(run_id), await store.mailboxes.load_entry(run_id)

    run, entry = read_store(load)
    if run is None and entry is not None and requests_run(entry):
        why = f" ({entry.last_error})" if entry.last_error else ""
        raise Failure(
            f"run {run_id!r} has no record, because its agent has not begun it. The entry that "
            f"requests it is {entry.status}{why}; see `treadle mailboxes why {run_id}`"
        )
    if run is None:
        raise NotFound("run", run_id)
    if as_json:
        write_json(to_plain(run))
    else:
        write_fields(to_plain(run))


@runs.command(
    "request",
    examples=(
        'treadle runs request helper bike-squeaky-brakes --text "Is it ready?"',
        "treadle runs request helper bike-squeaky-brakes --text hi --run-id order-4711",
        "treadle runs request helper bike-squeaky-brakes --json | jq -r .run_id",
    ),
)
@store_option()
@click.argument("agent")
@click.argument("thread")
@click.option("--text", help="What the user says; without it, the agent answers what is there.")
@click.option(
    "--run-id",
    metavar="ID",
    help="The id of the run; the same id again writes nothing.  [default: a new id]",
)
@click.option("--owner", metavar="ID", help="The owner of a new thread.")
@click.option("--sender", metavar="ID", help="Who asks, which the handler sees.")
@json_option
def request_run(
    agent: str,
    thread: str,
    text: str | None,
    run_id: str | None,
    owner: str | None,
    sender: str | None,
    as_json: bool,
) -> None:
    """Request a run of an agent on a thread.

    A thread that does not exist is created. The message is appended and the request sent in one
    commit. A worker whose handler uses `Turn` carries it out. The command prints the id of the run.
    The same id again writes nothing.

    --json: {"run_id", "thread_id", "entry_id", "version", "was_known", "is_behind"}.
    """
    wanted = RunRequest(
        agent_id=agent,
        thread_id=thread,
        run_id=new_id() if run_id is None else run_id,
        resource_id=owner,
    )
    said = [] if text is None else [Message.user(text)]
    asked = write_store(lambda store: store.runs.request(wanted, *said, sender_id=sender))
    if as_json:
        write_json(to_plain(asked))
    else:
        write_line(asked.run_id)


@runs.command(
    "answer",
    examples=(
        """treadle runs answer bike-turn-1 '{"approved": true}' --sender olga""",
        "treadle runs answer bike-turn-1 --text 'the red one'",
        "treadle runs answer bike-turn-1 --cancelled",
        """treadle runs answer bike-turn-1 '{"approved": false}' --interrupt may-pay""",
    ),
)
@store_option()
@click.argument("run_id", metavar="RUN")
@click.argument("answer", required=False)
@click.option("--text", help="Answer this text instead of the JSON value ANSWER.")
@click.option("--cancelled", is_flag=True, help="Nobody is going to answer.")
@click.option("--interrupt", metavar="ID", help="Answer only this question of the run.")
@click.option("--message", metavar="TEXT", help="A message of the user, appended with the answer.")
@click.option(
    "--run-id",
    "next_run_id",
    metavar="ID",
    help="The id of the run that brings the answer.  [default: a new id]",
)
@click.option("--sender", metavar="ID", help="Who answers, which the handler of that run sees.")
@json_option
def answer_run(
    run_id: str,
    answer: str | None,
    text: str | None,
    cancelled: bool,
    interrupt: str | None,
    message: str | None,
    next_run_id: str | None,
    sender: str | None,
    as_json: bool,
) -> None:
    """Answer a run that waits; it can be answered once.

    ANSWER is JSON, or `-` to read JSON from standard input. The command prints the id of the run
    that gets it: another one if the turn of RUN has ended, and RUN itself if it goes on after a
    pause. A run that looks for a message in the thread gets the answer as its text. A handler that
    asks for `Answer.approved` takes {"approved": true} for a yes, and no text.

    --json: {"run": {...}, "request": {...}}; without a request if a message brings the answer.
    """
    payload = _read_answer(answer, text, cancelled)
    status: AnswerStatus = "cancelled" if cancelled else "resolved"
    single = []
    if interrupt is not None:
        single = [Answer(interrupt_id=interrupt, status=status, payload=payload)]
    given = change_store(
        lambda store: store.runs.answer(
            run_id,
            None if single else payload,
            status=status,
            answers=single,
            message=None if message is None else Message(role="user", content=message),
            next_run_id=next_run_id,
            sender_id=sender,
        )
    )
    if as_json:
        write_json(to_plain(given))
    else:
        write_line(run_id if given.request is None else given.request.run_id)


runs.add_command(delete)


def _read_answer(answer: str | None, text: str | None, cancelled: bool) -> Json:
    if (answer is not None) + (text is not None) + cancelled != 1:
        raise click.UsageError("give either an ANSWER, --text or --cancelled")
    return text if answer is None else read_value(answer, "ANSWER")


def _cells(run: RunRecord) -> tuple[str, ...]:
    return (
        run.run_id,
        run.thread_id,
        run.agent_id,
        "waiting (work)" if run.status == "waiting" and asks_nobody(run) else run.status,
        run.termination_code or "",
        time_text(run.created_at),
        time_text(run.updated_at),
        f"{run.input_tokens + run.output_tokens:,}",
    )


def _usage_cells(usage: Usage) -> tuple[str, ...]:
    numbers = (usage.runs, usage.input_tokens, usage.output_tokens)
    return (usage.key or "", *(f"{number:,}" for number in numbers))


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1000)
