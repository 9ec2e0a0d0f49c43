"""Documents: what is not a thread, run or entry is refused by its place in the command.

What no JSON can hold is in `test_codec`, what no id can be in `test_ids`.
"""

from typing import Any

import pytest

from treadle import (
    InvalidValue,
    MailboxState,
    Message,
    MessageMetadata,
    Patch,
    RunMeta,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    ThreadMetadata,
    ToolCall,
    TrackedPatch,
)
from treadle.core.commands import AnyCommand, check_command
from treadle.core.mailbox_commands import Enqueue, Send
from treadle.core.patches import Increment, Insert, Set
from treadle.core.run_commands import UpsertRun
from treadle.core.thread_commands import AppendThread, CreateThread, SaveThread
from treadle.testing._harness.builders import entry, run, said, sets, tracked


def create(**fields: Any) -> CreateThread:
    return CreateThread(thread=Thread(**{"id": "t"} | fields))


def append(**fields: Any) -> AppendThread:
    return AppendThread(thread_id="t", changes=ThreadChangeSet(**fields))


def message(**fields: Any) -> AppendThread:
    return append(messages=(said("good"), Message(**{"role": "user", "content": ""} | fields)))


def op(operation: Any) -> AppendThread:
    return append(patches=(sets("a", 1), tracked(sets("b", 1).patch.ops[0], operation)))


def meta(**fields: Any) -> AppendThread:
    return append(run_id="r", run_meta=RunMeta(**fields))


def upsert(**fields: Any) -> UpsertRun:
    return UpsertRun(run=run("r", **fields))


def enqueue(**fields: Any) -> Enqueue:
    return Enqueue(entry=entry("e", **fields))


def whole(value: Any) -> Enqueue:
    return Enqueue(entry=value)


NAN = float("nan")
M = "appendThread.changes.messages[1]"
OP = "appendThread.changes.patches[1].patch.ops[1]"

DOCUMENTS: dict[str, tuple[AnyCommand, str, str]] = {
    # threads
    "state NaN": (create(state={"x": NAN}), "createThread.thread.state.x", "no nan"),
    "saved state NaN": (
        SaveThread(thread=Thread(id="t", state={"x": NAN})),
        "saveThread.thread.state.x",
        "no nan",
    ),
    "resource number": (create(resource_id=5), "createThread.thread.resource_id", "str"),
    "resource surrogate": (
        create(resource_id="\ud800"),
        "createThread.thread.resource_id",
        "surrogate",
    ),
    "messages none": (create(messages=None), "createThread.thread.messages", "array"),
    "messages text": (create(messages="hi"), "createThread.thread.messages", "tuple or list"),
    "messages dict": (create(messages={}), "createThread.thread.messages", "tuple or list"),
    "metadata none": (create(metadata=None), "createThread.thread.metadata", "object"),
    "metadata dict": (create(metadata={}), "createThread.thread.metadata", "ThreadMetadata"),
    "created_at negative": (
        create(metadata=ThreadMetadata(created_at=-1)),
        "createThread.thread.metadata.created_at",
        ">= 0",
    ),
    "updated_at text": (
        create(metadata=ThreadMetadata(updated_at="now")),  # type: ignore[arg-type]
        "createThread.thread.metadata.updated_at",
        "int",
    ),
    "version too large": (
        create(metadata=ThreadMetadata(version=2**63)),
        "createThread.thread.metadata.version",
        "9223372036854775807",
    ),
    "metadata extra": (
        create(metadata=ThreadMetadata(extra={"k": {1}})),
        "createThread.thread.metadata.extra.k",
        "cannot hold a set",
    ),
    "extra list": (create(extra=[1]), "createThread.thread.extra", "dict"),
    "extra none": (create(extra=None), "createThread.thread.extra", "dict"),
    "extra key": (create(extra={1: 1}), "createThread.thread.extra", "not a string"),
    "extra field": (create(extra={"state": 1}), "createThread.thread.extra.state", "of its own"),
    "thread head": (
        CreateThread(thread=ThreadHead(thread=Thread(id="n"), version=0)),  # type: ignore[arg-type]
        "createThread.thread",
        "must be a Thread, not a ThreadHead",
    ),
    # messages
    "role unknown": (message(role="boss"), f"{M}.role", "boss"),
    "role none": (message(role=None), f"{M}.role", "null"),
    "content none": (message(content=None), f"{M}.content", "null"),
    "content number": (message(content=5), f"{M}.content", "int"),
    "content dict": (message(content={}), f"{M}.content", "object"),
    "content tuple": (message(content=("a",)), f"{M}.content", "use a list"),
    "content surrogate": (message(content="\udfff"), f"{M}.content", "surrogate"),
    "content part NaN": (message(content=[{"x": NAN}]), f"{M}.content[0].x", "no nan"),
    "message id number": (message(id=5), f"{M}.id", "int"),
    "visibility": (message(visibility="secret"), f"{M}.visibility", "secret"),
    "tool calls dict": (message(tool_calls={}), f"{M}.tool_calls", "tuple or list"),
    "tool call dict": (message(tool_calls=({"id": "c"},)), f"{M}.tool_calls[0]", "ToolCall"),
    "tool call name": (
        message(tool_calls=(ToolCall(id="c", name=5),)),  # type: ignore[arg-type]
        f"{M}.tool_calls[0].name",
        "int",
    ),
    "tool call arguments": (
        message(tool_calls=(ToolCall(id="c", name="n", arguments={"a": {1}}),)),
        f"{M}.tool_calls[0].arguments.a",
        "cannot hold a set",
    ),
    "tool call id": (message(tool_call_id=5), f"{M}.tool_call_id", "int"),
    "message metadata dict": (message(metadata={}), f"{M}.metadata", "MessageMetadata"),
    "step index text": (
        message(metadata=MessageMetadata(step_index="1")),  # type: ignore[arg-type]
        f"{M}.metadata.step_index",
        "str",
    ),
    "message extra": (message(extra={"x": b""}), f"{M}.extra.x", "cannot hold a bytes"),
    "message dict": (append(messages=({"role": "user"},)), f"{M[:-3]}[0]", "Message"),
    "message text": (append(messages=["hi"]), f"{M[:-3]}[0]", "not a str"),
    # change sets
    "reason unknown": (append(reason="Why"), "appendThread.changes.reason", "Why"),
    "snapshot": (append(snapshot={"a": NAN}), "appendThread.changes.snapshot.a", "no nan"),
    "action": (append(actions=({"a": {1}},)), "appendThread.changes.actions", "hold a set"),
    "run meta dict": (append(run_id="r", run_meta={}), "appendThread.changes.run_meta", "RunMeta"),
    # patches
    "path text": (op(Set(path="a", value=1)), f"{OP}.path", "tuple or list"),  # type: ignore[arg-type]
    "path negative": (op(Set(path=("a", -1), value=1)), f"{OP}.path[1]", ">= 0"),
    "path float": (op(Set(path=(1.0,), value=1)), f"{OP}.path[0]", "float"),  # type: ignore[arg-type]
    "path true": (op(Set(path=(True,), value=1)), f"{OP}.path[0]", "bool"),
    "value NaN": (op(Set(path=("a",), value=[NAN])), f"{OP}.value[0]", "no nan"),
    "amount NaN": (op(Increment(path=("a",), amount=NAN)), f"{OP}.amount", "no nan"),
    "amount text": (op(Increment(path=("a",), amount="1")), f"{OP}.amount", "str"),  # type: ignore[arg-type]
    "amount large": (op(Increment(path=("a",), amount=2**64)), f"{OP}.amount", "64 bits"),
    "index negative": (op(Insert(path=("a",), index=-1, value=1)), f"{OP}.index", ">= 0"),
    "operation dict": (op({"op": "set", "path": [], "value": 1}), OP, "not a dict"),
    "operation none": (op(None), OP, "not a NoneType"),
    "patch dict": (
        append(patches=(TrackedPatch(patch={"ops": []}),)),  # type: ignore[arg-type]
        "appendThread.changes.patches[0].patch",
        "must be a Patch",
    ),
    "patch untracked": (
        append(patches=(Patch(ops=()),)),
        "appendThread.changes.patches[0]",
        "must be a TrackedPatch",
    ),
    "timestamp": (
        append(patches=(TrackedPatch(patch=Patch(ops=()), timestamp="x"),)),  # type: ignore[arg-type]
        "appendThread.changes.patches[0].timestamp",
        "str",
    ),
    # runs
    "run origin": (upsert(origin="nobody"), "upsertRun.run.origin", "nobody"),
    "run status": (upsert(status="asleep"), "upsertRun.run.status", "asleep"),
    "run created_at": (upsert(created_at=-1), "upsertRun.run.created_at", ">= 0"),
    "run updated_at": (upsert(updated_at=1.5), "upsertRun.run.updated_at", "float"),
    "run tokens": (upsert(input_tokens=-1), "upsertRun.run.input_tokens", ">= 0"),
    "run tokens true": (upsert(output_tokens=True), "upsertRun.run.output_tokens", "bool"),
    "run metadata": (upsert(metadata={"x": NAN}), "upsertRun.run.metadata.x", "no nan"),
    "run agent": (upsert(agent_id=None), "upsertRun.run.agent_id", "null"),
    "run extra": (upsert(extra={"status": 1}), "upsertRun.run.extra.status", "of its own"),
    "meta origin": (meta(origin="x"), "appendThread.changes.run_meta.origin", "'x'"),
    "meta status": (meta(status="x"), "appendThread.changes.run_meta.status", "'x'"),
    "meta tokens": (meta(output_tokens=-1), "appendThread.changes.run_meta.output_tokens", ">= 0"),
    # entries
    "entry state": (whole(MailboxState(mailbox_id="box")), "enqueue.entry", "not a MailboxState"),
    "entry none": (whole(None), "enqueue.entry", "null"),
    "entry dict": (whole({"entry_id": "a/b", "mailbox_id": "box"}), "enqueue.entry", "not a dict"),
    "entry origin": (enqueue(origin="user"), "enqueue.entry.origin", "user"),
    "entry priority": (enqueue(priority=256), "enqueue.entry.priority", "255"),
    "entry priority low": (enqueue(priority=-1), "enqueue.entry.priority", ">= 0"),
    "entry generation": (enqueue(generation=-1), "enqueue.entry.generation", ">= 0"),
    "entry status": (enqueue(status="x"), "enqueue.entry.status", "'x'"),
    "entry time": (enqueue(available_at=-1), "enqueue.entry.available_at", ">= 0"),
    "entry time large": (enqueue(created_at=2**63), "enqueue.entry.created_at", "922337203685477"),
    "entry attempts": (enqueue(attempt_count=-1), "enqueue.entry.attempt_count", ">= 0"),
    "entry payload": (enqueue(payload={"x": {1}}), "enqueue.entry.payload.x", "hold a set"),
    "entry key": (enqueue(dedupe_key=5), "enqueue.entry.dedupe_key", "int"),
    "entry sender": (enqueue(sender_id=5), "enqueue.entry.sender_id", "int"),
    "entry error": (enqueue(last_error=5), "enqueue.entry.last_error", "int"),
    "entry extra": (enqueue(extra={"x": NAN}), "enqueue.entry.extra.x", "no nan"),
    "what is sent": (
        Send(entry_id="e", mailbox_id="box", payload={"a": [0, {"b": NAN}]}),
        "send.payload.a[1].b",
        "no nan",
    ),
}


@pytest.mark.parametrize(("command", "where", "reason"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_bad_document_is_refused_by_its_place(
    command: AnyCommand, where: str, reason: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_command(command)
    assert type(caught.value) is InvalidValue
    assert caught.value.where.startswith(where)
    assert reason in caught.value.reason
    assert str(caught.value) == f"invalid value at {caught.value.where}: {caught.value.reason}"
