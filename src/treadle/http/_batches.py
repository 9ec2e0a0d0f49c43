"""The operation that commits commands together, all or none."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from msgspec import Meta
from starlette.responses import Response

from treadle import commands
from treadle.clock import new_id, new_token
from treadle.core.codec import Json, Model
from treadle.core.commands import Command, Commands, describe
from treadle.core.mailbox_commands import Send
from treadle.core.taking import Take
from treadle.errors import InvalidValue, TreadleError, shorten
from treadle.http._call import Call
from treadle.http._input import Fields, body_of
from treadle.http._operation import Operation
from treadle.http._output import answer_results
from treadle.http._owners import ALL
from treadle.http._principals import Action

ACTIONS: dict[type[Command[Any]], Action] = {
    commands.Ack: "claim",
    commands.AppendThread: "append",
    commands.Cancel: "cancel",
    commands.CancelPending: "cancel",
    commands.CheckDocument: "read",
    commands.CheckRun: "read",
    commands.CheckThread: "read",
    commands.CountTokens: "write_runs",
    commands.CreateDocument: "write_documents",
    commands.CreateThread: "append",
    commands.DeadLetter: "claim",
    commands.DeleteDocument: "write_documents",
    commands.DeleteDocuments: "delete",
    commands.DeleteMailbox: "delete",
    commands.DeleteRun: "delete",
    commands.DeleteThread: "delete",
    commands.Enqueue: "send",
    commands.EnsureDocument: "write_documents",
    commands.EndWait: "write_runs",
    commands.EnsureMailbox: "send",
    commands.EnsureThread: "append",
    commands.ExtendLease: "claim",
    commands.ForkThread: "append",
    commands.Hold: "claim",
    commands.Interrupt: "interrupt",
    commands.Nack: "claim",
    commands.Pause: "pause",
    commands.Purge: "purge",
    commands.PurgeDocuments: "purge",
    commands.PurgeThread: "purge",
    commands.PutDocument: "write_documents",
    commands.Release: "claim",
    commands.Requeue: "requeue",
    commands.Resume: "pause",
    commands.SaveThread: "append",
    commands.Send: "send",
    commands.Supersede: "cancel",
    commands.SupersedeRuns: "cancel",
    commands.Take: "claim",
    commands.TouchDocument: "write_documents",
    commands.TruncateThread: "append",
    commands.UpdateThread: "append",
    commands.UpsertRun: "write_runs",
    commands.Withdraw: "cancel",
}
"""The commands of a batch, and what each needs the right to do. The commands that restore rows of
another store are none of them: they could forge times, versions and claims."""

_NUMBERED = re.compile(r"command (\d+) of \d+: (.*)", re.DOTALL)
_KINDS = {kind.__name__: kind for kind in ACTIONS}


_COMMAND_SCHEMA = {
    "type": "object",
    "properties": {"command": {"enum": sorted(_KINDS)}},
    "required": ["command"],
}


class NewBatch(Fields, frozen=True, kw_only=True):
    """Commands that are committed together, all or none."""

    most_items: ClassVar[Mapping[str, str]] = {"commands": "commands"}

    commands: tuple[Annotated[dict[str, Json], Meta(extra_json_schema=_COMMAND_SCHEMA)], ...]
    """Each has its name in `command`, such as `AppendThread`, and its fields beside it."""


class Results(Model, frozen=True, kw_only=True):
    """The result of each command of a batch, in their order."""

    results: tuple[Json, ...]


async def _commit(call: Call) -> Response:
    given = cast("NewBatch", call.body).commands
    if len(given) > call.limits.commands:
        reason = f"at most {call.limits.commands} commands, not {len(given)}"
        raise InvalidValue("body.commands", reason)
    batch = tuple(_command(call, plain, number) for number, plain in enumerate(given))
    guarded, places = _with_checks(batch)
    try:
        receipt = await call.store.commit(guarded)
    except TreadleError as error:
        error.command = _as_given(error.command, batch, places)
        raise
    with_tokens = [isinstance(command, Take) for command in batch]
    return answer_results(call, tuple(receipt.results[at] for at in places), with_tokens)


def _with_checks(batch: Commands) -> tuple[Commands, list[int]]:
    """Return a batch that takes no run from another thread, and where its commands are in it."""
    guarded: list[Command[Any]] = []
    places: list[int] = []
    for command in batch:
        match command:
            case commands.AppendThread(thread_id=thread_id, changes=changes) if changes.run_id:
                guarded.append(commands.CheckRun(run_id=changes.run_id, thread_id=thread_id))
            case commands.UpsertRun(run=run):
                guarded.append(commands.CheckRun(run_id=run.run_id, thread_id=run.thread_id))
            case _:
                pass
        places.append(len(guarded))
        guarded.append(command)
    return tuple(guarded), places


def _as_given(named: str | None, batch: Commands, places: list[int]) -> str | None:
    """Return the name of the command that has failed, as the client has counted."""
    found = _NUMBERED.fullmatch(named or "")
    if found is None:
        return named
    failed = int(found[1]) - 1
    index = next(n for n, at in enumerate(places) if at >= failed)
    name = found[2] if places[index] == failed else describe(batch[index])
    return f"command {index + 1} of {len(batch)}: {name}"


def _command(call: Call, plain: dict[str, Json], number: int) -> Command[Any]:
    where = f"body.commands[{number}]"
    name = plain.pop("command", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidValue(f"{where}.command", f"{shorten(name)} is not a command of a batch")
    call.require(ACTIONS[kind])
    if kind is Take:
        if "name" in plain:
            raise InvalidValue(f"{where}.name", "the server makes it; leave it out")
        plain["name"] = new_token()
    if kind is Send:
        plain.setdefault("entry_id", new_id())
    command = cast("Command[Any]", body_of(plain, kind, {}, where))
    if isinstance(command, commands.AppendThread) and command.changes.run_id:
        call.require("write_runs")
    return command


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/batch",
        summary="Commit commands together, all or none.",
        action="batch",
        owner=ALL,
        body=NewBatch,
        answers={200: Results},
        handle=_commit,
        details=(
            "With a `Hold`, nothing is committed unless its claim is still held: so a worker that "
            "has lost its lease writes nothing. Each command needs its right, too. The server "
            "makes the `entry_id` of a `Send` that has none. 409: another thread has a run that an "
            "append or an upsert writes."
        ),
    ),
)
