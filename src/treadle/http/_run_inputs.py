"""tirea's route for what a run gets while it is active: messages, and decisions."""

from collections.abc import Mapping
from typing import ClassVar, Literal, cast
from uuid import UUID, uuid5

import msgspec
from starlette.responses import Response

from treadle.clock import new_id
from treadle.core.codec import Json, Model
from treadle.core.ids import RunId, ThreadId
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.messages import Message
from treadle.core.run_messages import named
from treadle.core.run_queries import LoadRun
from treadle.core.runs import is_active
from treadle.errors import InvalidValue, NotFound
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import OWN_RUN, OwnerRule, owned_as, require_free_run
from treadle.http._requested_runs import LIMITED, request
from treadle.http._run_fields import Decision, RunFields, answers_of, require_agent
from treadle.worker import RunRequest

_DECISIONS = UUID("6b0f2c1e-6f4e-5c7d-9a39-3a1f7d1c2b65")
"""The namespace of the ids of runs that go on with decisions."""


class RunInputs(RunFields, frozen=True, kw_only=True):
    """What a run gets: messages, decisions, or both."""

    agent_id: str | None = msgspec.field(default=None, name="agentId")
    """The agent that goes on; needed with messages."""
    run_id: RunId | None = msgspec.field(default=None, name="runId")
    """The id of the run that goes on, with messages; a new one by default."""
    resource_id: str | None = msgspec.field(default=None, name="resourceId")
    state: Json = None
    messages: tuple[Message, ...] = ()
    decisions: tuple[Decision, ...] = ()

    other_names: ClassVar[Mapping[str, str]] = {
        "agent_id": "agentId",
        "run_id": "runId",
        "resource_id": "resourceId",
        "initialDecisions": "decisions",
        "initial_decisions": "decisions",
    }


class InputsGiven(Model, frozen=True, kw_only=True):
    """The run got its inputs: with messages another run goes on, otherwise it does itself."""

    status: Literal["decision_forwarded", "continuation_started"]
    run_id: RunId | None = None
    """The run that got decisions."""
    parent_run_id: RunId | None = None
    """The run that another one goes on from."""
    thread_id: ThreadId


async def _restrict(call: Call, own: str) -> Call:
    call = await OWN_RUN.apply(call, own)
    body = cast("RunInputs", call.body)
    owned_as(own, body.resource_id)
    if body.run_id is not None:
        await require_free_run(call.store, body.run_id, own)
    return call


_INPUTS = OwnerRule(
    text="the run must be yours, and the one that goes on must be yours or new",
    apply=_restrict,
    ids=("run_id",),
)


async def _give(call: Call) -> Response:
    run_id, body = call.ids["run_id"], cast("RunInputs", call.body)
    if not body.messages and not body.decisions:
        raise InvalidValue("body", "messages or decisions must be given")
    if body.messages:
        require_agent(body.agent_id)
    name = _name_of(run_id, body)
    next_id = body.run_id or (new_id() if name is None else _id_of(name))
    run, earlier = await call.store.read(LoadRun(run_id=run_id), LoadEntry(entry_id=next_id))
    if run is None:
        raise NotFound("run", run_id)
    if not body.messages and not is_active(run) and earlier is None:
        raise Refused(400, "run_not_active", "run is not active")
    wanted = RunRequest(
        agent_id=body.agent_id or run.agent_id,
        thread_id=run.thread_id,
        run_id=next_id,
        parent_run_id=run_id,
        resource_id=body.resource_id,
        state=body.state,
        resume=answers_of(body.decisions),
    )
    messages = named(body.messages, wanted.run_id)
    await request(call, wanted, messages)
    if body.messages:
        given = InputsGiven(
            status="continuation_started", parent_run_id=run_id, thread_id=run.thread_id
        )
    else:
        given = InputsGiven(status="decision_forwarded", run_id=run_id, thread_id=run.thread_id)
    return answer(call, given, 202)


def _name_of(run_id: str, body: RunInputs) -> str | None:
    """What tells these decisions from others, so that they are not sent again; None if nothing."""
    ids = [each.decision_id for each in body.decisions if each.decision_id is not None]
    has_names = len(ids) == len(body.decisions) and body.run_id is None and not body.messages
    return "/".join([run_id, *ids]) if has_names else None


def _id_of(name: str) -> str:
    """The id of the run that goes on with decisions, by their name."""
    return str(uuid5(_DECISIONS, name))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/runs/{run_id}/inputs",
        summary="Give a run messages, or the decisions that it waits for.",
        action="chat",
        owner=_INPUTS,
        body=RunInputs,
        answers={202: InputsGiven},
        handle=_give,
        details=(
            f"{LIMITED} What the run's agent gets is an entry in the "
            "mailbox of its thread, as `treadle.worker.RunRequest`. 400: the run is over, and "
            "there are decisions only. 409: no run of the thread waits for one of the decisions, "
            "or another thread has the `runId`."
        ),
    ),
)
