"""What a store refuses: bad ids, values, documents, options, URLs; and that nothing is written."""

import datetime
import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_ids import BAD as BAD_IDS
from weft import (
    InvalidId,
    InvalidValue,
    Message,
    MessageMetadata,
    Patch,
    RunMeta,
    Store,
    StoreClosed,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    ToolCall,
    TrackedPatch,
    WeftError,
    open_store,
)
from weft.core import commands
from weft.core.mailboxes import MailboxEntry, MailboxState
from weft.core.patches import Increment, Insert, Set
from weft.core.threads import ThreadHead
from weft.testing.builders import claim_one, entry, run, said, says, sets, tracked
from weft.testing.contents import read_everything
from weft.testing.exact import differences

BOXES = ("box", "other", "new")
Act = Callable[[Store], Awaitable[object]]


@pytest.fixture
async def filled(store: Store) -> AsyncIterator[Store]:
    """A store with something of everything; a test must leave it as it is."""
    changes = ThreadChangeSet(
        run_id="r", run_meta=RunMeta(), messages=(said("hi", "m"),), patches=(sets("a", 1),)
    )
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", changes)
    await store.mailboxes.enqueue(entry("e"))
    await store.mailboxes.enqueue(entry("queued"))
    await store.mailboxes.enqueue(entry("dead", "other"))
    await store.mailboxes.dead_letter(await claim_one(store, "other"), error="boom")
    await claim_one(store, "box")
    before = await read_everything(store, BOXES)
    yield store
    assert list(differences(await read_everything(store, BOXES), before)) == []


# --- every argument of every method, found by introspection ---------------------------------------

IDS = {
    "thread_id": "t",
    "parent_thread_id": "t",
    "run_id": "r",
    "parent_run_id": "r",
    "mailbox_id": "box",
    "entry_id": "e",
    "exclude": "e",
    "entry": "e",
}
VALUES: dict[str, Any] = {
    "thread": Thread(id="new"),
    "changes": says("more"),
    "run": run("new"),
    "payload": 1,
    "claim_token": "token",
    "consumer": "worker",
    "reason": "newer",
    "error": "boom",
    "resource_id": "u",
    "dedupe_key": "k",
    "sender_id": "s",
    "origin": "internal",
    "status": "done",
    "order": "asc",
    "visibility": "all",
    "termination_code": "ok",
    "expected": 1,
    "after_version": 0,
    "after": 0,
    "before": 1,
    "offset": 0,
    "limit": 1,
    "priority": 1,
    "delay_ms": 1,
    "lease_ms": 1,
    "extension_ms": 1,
    "timeout_ms": 0,
    "older_than": 1,
    "retry_at": 1,
    "now": 1,
    "created_at_from": 1,
    "created_at_to": 1,
    "updated_at_from": 1,
    "updated_at_to": 1,
}
NO_MODEL: dict[str, Any] = {
    "none": None,
    "text": "x",
    "number": 5,
    "list": [],
    "dict": {},
    "dict of its form": {"id": "a/b", "run_id": "a/b", "thread_id": "t", "messages": []},
    "another model": ThreadMetadata(),
    "its class": Thread,
}
NO_TEXT: dict[str, Any] = {"number": 5, "bytes": b"x", "list": ["x"], "surrogate": "\ud800"}
NO_CHOICE: dict[str, Any] = {"another": "nonsense", "empty": "", "number": 5, "capitals": "DONE"}
NO_INTEGER: dict[str, Any] = {
    "text": "1",
    "float": 1.0,
    "true": True,
    "too large": 2**64,
    "too small": -(2**63) - 1,
    "list": [1],
}
NO_TIME: dict[str, Any] = NO_INTEGER | {
    "negative": -1,
    "beyond 63 bits": 2**63,
    "datetime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
}
BAD_VALUES: dict[str, dict[str, Any]] = {
    "thread": NO_MODEL,
    "changes": NO_MODEL,
    "run": NO_MODEL,
    "payload": {"NaN": float("nan"), "bytes": b"x", "object": object(), "set": {1}},
    "order": NO_CHOICE | {"none": None},
    "priority": NO_INTEGER | {"negative": -1, "256": 256},
    **dict.fromkeys(
        ("claim_token", "resource_id", "dedupe_key", "sender_id", "termination_code"), NO_TEXT
    ),
    **dict.fromkeys(("consumer", "reason", "error"), NO_TEXT | {"none": None}),
    **dict.fromkeys(("origin", "status", "visibility"), NO_CHOICE),
    **dict.fromkeys(
        ("after_version", "offset", "limit", "timeout_ms"), NO_INTEGER | {"none": None}
    ),
    **dict.fromkeys(
        ("after", "before", "created_at_from", "created_at_to", "updated_at_from", "updated_at_to"),
        NO_INTEGER,
    ),
    **dict.fromkeys(("expected", "now", "retry_at"), NO_TIME),
    **dict.fromkeys(
        ("delay_ms", "lease_ms", "extension_ms", "older_than"), NO_TIME | {"none": None}
    ),
}


def public(part: Any) -> list[str]:
    """The names of the methods a user may call."""
    return [name for name, each in inspect.getmembers(part, callable) if name[0] != "_"]


UNOPENED = open_store("memory:")
NOUNS = ("threads", "runs", "mailboxes")
METHODS = [(noun, name) for noun in NOUNS for name in public(getattr(UNOPENED, noun))]
BATCHED = [(noun, name) for noun in NOUNS for name in public(getattr(UNOPENED.batch(), noun))]


def arguments(method: Callable[..., Any]) -> list[str]:
    """The names of a method's arguments; `entry` only where an id may be given for it."""
    names = inspect.signature(method).parameters
    return [name for name in names if method.__name__ != "enqueue"]


def call(method: Callable[..., Any], **chosen: Any) -> Any:
    """Call with good arguments where there must be some, but those that are `chosen`."""
    good: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.default is parameter.empty or name == "claim_token":
            good[name] = {**IDS, **VALUES}[name]
    return method(**good | chosen)


def cases(methods: list[tuple[str, str]], part: Any, names: dict[str, Any]) -> list[Any]:
    """(noun, method, argument) for every argument among `names`."""
    return [
        pytest.param(noun, name, argument, id=f"{noun}.{name}-{argument}")
        for noun, name in methods
        for argument in arguments(getattr(getattr(part, noun), name))
        if argument in names
    ]


def test_every_argument_of_every_method_is_in_these_tables() -> None:
    found = {
        argument
        for part, methods in ((UNOPENED, METHODS), (UNOPENED.batch(), BATCHED))
        for noun, name in methods
        for argument in arguments(getattr(getattr(part, noun), name))
    }
    assert found == {*IDS, *VALUES}
    assert set(BAD_VALUES) == set(VALUES)
    assert len(METHODS) + len(BATCHED) >= 50


def bad_ids(method: Callable[..., Any], argument: str) -> dict[str, Any]:
    """The bad ids for an argument; where it may be left out, None is none of them."""
    may_be_none = inspect.signature(method).parameters[argument].default is None
    return {
        name: value for name, (value, _) in BAD_IDS.items() if value is not None or not may_be_none
    }


@pytest.mark.parametrize(("noun", "name", "argument"), cases(METHODS, UNOPENED, IDS))
async def test_every_method_refuses_bad_ids(
    filled: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(filled, noun), name)
    accepted = []
    for case, value in bad_ids(method, argument).items():
        try:
            await call(method, **{argument: value})
        except InvalidId as error:
            assert error.value is value
            assert error.reason in str(error)
            assert argument == "entry" or error.kind in (*argument.split("_"), "entry")
        else:
            accepted.append(case)
    assert accepted == []


@pytest.mark.parametrize(("noun", "name", "argument"), cases(BATCHED, UNOPENED.batch(), IDS))
async def test_a_batch_with_a_bad_id_writes_nothing(
    filled: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(filled.batch(), noun), name)
    for value in bad_ids(method, argument).values():
        with pytest.raises(InvalidId):
            async with filled.batch() as step:
                step.threads.append("t", says("before"))
                call(getattr(getattr(step, noun), name), **{argument: value})
                step.mailboxes.send("box", "after")
        assert step.receipt is None


BAD_CASES = [
    (noun, name, argument, bad)
    for noun, name in METHODS
    for argument in arguments(getattr(getattr(UNOPENED, noun), name))
    for bad in BAD_VALUES.get(argument, ())
]


def test_there_are_well_over_a_hundred_bad_values() -> None:
    assert len(BAD_CASES) > 300


@pytest.mark.parametrize(("noun", "name", "argument"), cases(METHODS, UNOPENED, BAD_VALUES))
async def test_every_method_refuses_bad_values_and_names_the_argument(
    filled: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(filled, noun), name)
    accepted = []
    for case, value in BAD_VALUES[argument].items():
        try:
            await call(method, **{argument: value})
        except InvalidValue as error:
            assert argument in error.where.split("."), case
            assert error.where in str(error)
            assert len(error.reason) > 10, case
        else:
            accepted.append(case)
    assert accepted == []


@pytest.mark.parametrize(("noun", "name", "argument"), cases(BATCHED, UNOPENED.batch(), BAD_VALUES))
async def test_a_batch_with_a_bad_value_writes_nothing(
    filled: Store, noun: str, name: str, argument: str
) -> None:
    for value in BAD_VALUES[argument].values():
        with pytest.raises(InvalidValue, match=argument):
            async with filled.batch() as step:
                step.threads.append("t", says("before"))
                call(getattr(getattr(step, noun), name), **{argument: value})
                step.mailboxes.send("box", "after")
        assert step.receipt is None


# --- documents, by the place in them --------------------------------------------------------------


def create(**fields: Any) -> Act:
    return lambda store: store.threads.create(Thread(**{"id": "new"} | fields))


def save(**fields: Any) -> Act:
    return lambda store: store.threads.save(Thread(**{"id": "t"} | fields))


def append(**fields: Any) -> Act:
    return lambda store: store.threads.append("t", ThreadChangeSet(**fields))


def message(**fields: Any) -> Act:
    return append(messages=(said("good"), Message(**{"role": "user", "content": ""} | fields)))


def op(operation: Any) -> Act:
    return append(patches=(sets("a", 1), tracked(sets("b", 1).patch.ops[0], operation)))


def upsert(**fields: Any) -> Act:
    return lambda store: store.runs.upsert(run("r", **fields))


def meta(**fields: Any) -> Act:
    return append(run_id="r", run_meta=RunMeta(**fields))


def enqueue(entry_id: Any = "new", **fields: Any) -> Act:
    return lambda store: store.mailboxes.enqueue(entry(entry_id, **fields))


def send(payload: Any) -> Act:
    return lambda store: store.mailboxes.send("box", payload)


def whole(value: Any) -> Act:
    return lambda store: store.mailboxes.enqueue(value)


NAN, INFINITY = float("nan"), float("inf")
DEEP: Any = []
for _ in range(150):
    DEEP = {"a": DEEP}
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
M = "appendThread.changes.messages[1]"
OP = "appendThread.changes.patches[1].patch.ops[1]"

DOCUMENTS: dict[str, tuple[Act, str, str]] = {
    # payloads
    "payload NaN": (send(NAN), "send.payload", "JSON has no nan"),
    "payload infinity": (send([INFINITY]), "send.payload[0]", "JSON has no inf"),
    "payload minus infinity": (send({"a": -INFINITY}), "send.payload.a", "JSON has no -inf"),
    "payload NaN inside": (send({"a": [0, {"b": NAN}]}), "send.payload.a[1].b", "no nan"),
    "payload surrogate": (send("\ud800"), "send.payload", "lone surrogate"),
    "payload surrogate key": (send({"\udc00": 1}), "send.payload", "lone surrogate"),
    "payload large": (send(2**64), "send.payload", "does not fit 64 bits"),
    "payload small": (send({"n": -(2**63) - 1}), "send.payload.n", "does not fit 64 bits"),
    "payload key number": (send({1: 1}), "send.payload", "key 1 is not a string"),
    "payload key tuple": (send({(1,): 1}), "send.payload", "is not a string"),
    "payload bytes": (send(b"x"), "send.payload", "cannot hold a bytes"),
    "payload set": (send({"a": {1}}), "send.payload.a", "cannot hold a set"),
    "payload tuple": (send((1,)), "send.payload", "use a list"),
    "payload datetime": (
        send([datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]),
        "send.payload[0]",
        "cannot hold a datetime",
    ),
    "payload uuid": (send(uuid.uuid4()), "send.payload", "cannot hold a UUID"),
    "payload object": (send({"a": object()}), "send.payload.a", "cannot hold a object"),
    "payload model": (send(Message.user("hi")), "send.payload", "cannot hold a Message"),
    "payload deep": (send(DEEP), "send.payload.a.a", "deeper than 100"),
    "payload endless": (send(ENDLESS), "send.payload[0]", "deeper than 100"),
    # threads
    "state NaN": (create(state={"x": NAN}), "createThread.thread.state.x", "no nan"),
    "saved state NaN": (save(state={"x": NAN}), "saveThread.thread.state.x", "no nan"),
    "state deep": (create(state=DEEP), "createThread.thread.state.a", "deeper than 100"),
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
    "extra version": (
        create(extra={"_version": 1}),
        "createThread.thread.extra._version",
        "counts versions itself",
    ),
    "thread head": (
        lambda store: store.threads.create(ThreadHead(thread=Thread(id="n"), version=0)),  # type: ignore[arg-type]
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
    "entry generation high": (enqueue(generation=2**63 - 1), "enqueue.entry.generation", "at most"),
    "entry claimed": (enqueue(status="claimed"), "enqueue.entry.status", "must be 'queued'"),
    "entry ended": (enqueue(status="accepted"), "enqueue.entry.status", "must be 'queued'"),
    "entry status": (enqueue(status="x"), "enqueue.entry.status", "'x'"),
    "entry token": (enqueue(claim_token="x"), "enqueue.entry.claim_token", "leave it out"),
    "entry consumer": (enqueue(claimed_by="x"), "enqueue.entry.claimed_by", "leave it out"),
    "entry lease": (enqueue(lease_until=1), "enqueue.entry.lease_until", "leave it out"),
    "entry time": (enqueue(available_at=-1), "enqueue.entry.available_at", ">= 0"),
    "entry time large": (enqueue(created_at=2**63), "enqueue.entry.created_at", "922337203685477"),
    "entry attempts": (enqueue(attempt_count=-1), "enqueue.entry.attempt_count", ">= 0"),
    "entry attempts high": (
        enqueue(attempt_count=2**63),
        "enqueue.entry.attempt_count",
        "at most",
    ),
    "entry payload": (enqueue(payload={"x": {1}}), "enqueue.entry.payload.x", "hold a set"),
    "entry key": (enqueue(dedupe_key=5), "enqueue.entry.dedupe_key", "int"),
    "entry sender": (enqueue(sender_id=5), "enqueue.entry.sender_id", "int"),
    "entry error": (enqueue(last_error=5), "enqueue.entry.last_error", "int"),
    "entry extra": (enqueue(extra={"x": NAN}), "enqueue.entry.extra.x", "no nan"),
    # claims
    "claim of what is not claimed": (
        lambda store: store.mailboxes.ack(entry("e")),
        "claim_token",
        "pass the entry that claim returned",
    ),
    "claim without token": (
        lambda store: store.mailboxes.nack("e"),
        "claim_token",
        "entry 'e' has none",
    ),
    # batches of commands
    "no batch": (lambda store: store.commit(None), "batch", "tuple of commands"),  # type: ignore[arg-type]
    "no command": (lambda store: store.commit(("ack",)), "batch", "not a str"),  # type: ignore[arg-type]
    "a command alone": (
        lambda store: store.commit(commands.Cancel(entry_id="e")),  # type: ignore[arg-type]
        "batch",
        "not a Cancel",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("act", "where", "reason"), DOCUMENTS.values(), ids=DOCUMENTS)
async def test_a_bad_document_is_refused_by_its_place(
    filled: Store, act: Act, where: str, reason: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        await act(filled)
    assert type(caught.value) is InvalidValue
    assert caught.value.where.startswith(where)
    assert reason in caught.value.reason
    assert str(caught.value) == f"invalid value at {caught.value.where}: {caught.value.reason}"


NESTED_IDS: dict[str, tuple[Callable[[Any], Act], str]] = {
    "thread.id": (lambda bad: create(id=bad), "thread"),
    "saved thread.id": (lambda bad: save(id=bad), "thread"),
    "thread.parent_thread_id": (lambda bad: create(parent_thread_id=bad), "thread"),
    "changes.run_id": (lambda bad: append(run_id=bad), "run"),
    "changes.parent_run_id": (lambda bad: append(run_id="r", parent_run_id=bad), "run"),
    "run_meta.parent_thread_id": (lambda bad: meta(parent_thread_id=bad), "thread"),
    "run_meta.source": (lambda bad: meta(source_mailbox_entry_id=bad), "entry"),
    "run.run_id": (lambda bad: lambda store: store.runs.upsert(run(bad)), "run"),
    "run.thread_id": (lambda bad: upsert(thread_id=bad), "thread"),
    "run.parent_run_id": (lambda bad: upsert(parent_run_id=bad), "run"),
    "run.parent_thread_id": (lambda bad: upsert(parent_thread_id=bad), "thread"),
    "run.source": (lambda bad: upsert(source_mailbox_entry_id=bad), "entry"),
    "entry.entry_id": (lambda bad: enqueue(entry_id=bad), "entry"),
    "entry.mailbox_id": (lambda bad: enqueue(mailbox_id=bad), "mailbox"),
}


@pytest.mark.parametrize(("make", "kind"), NESTED_IDS.values(), ids=NESTED_IDS)
async def test_ids_inside_documents_are_checked_too(
    filled: Store, make: Callable[[Any], Act], kind: str
) -> None:
    for bad in ("a/b", "../a", "a\0", "x" * 201, "nul", "\ud800", 5):
        with pytest.raises(InvalidId) as caught:
            await make(bad)(filled)
        assert (caught.value.kind, caught.value.value) == (kind, bad)


# --- urls and options -----------------------------------------------------------------------------

URLS: dict[str, tuple[Any, str]] = {
    "empty": ("", "must be a folder"),
    "none": (None, "must be a folder"),
    "number": (5, "must be a folder"),
    "bytes": (b"agents", "must be a folder"),
    "list": (["agents"], "must be a folder"),
    "unknown scheme": ("mongodb://host/db", "no backend for 'mongodb'"),
    "http": ("http://example.com", "no backend for 'http'"),
    "misspelt": ("memry:", "no backend for 'memry'"),
    "memory with a name": ("memory:agents", "takes nothing after it"),
    "memory with a path": ("memory:///agents", "takes nothing after it"),
    "file without folder": ("file:", "wants a folder"),
    "file of nothing": ("file://", "wants a folder"),
    "sqlite without file": ("sqlite:", "wants a file"),
    "sqlite with a host": ("sqlite://agents.db", "wants a file"),
    "sqlite with a folder": ("sqlite:///agents/", "wants a file"),
}


@pytest.mark.parametrize(("url", "reason"), URLS.values(), ids=URLS)
def test_a_bad_url_is_refused(url: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        open_store(url)
    assert caught.value.where == "url"


@pytest.mark.parametrize("durability", ["", "none", "FULL", None, 5, True])
@pytest.mark.parametrize("url", ["memory:", "agents"])
def test_a_bad_durability_is_refused(url: str, durability: Any) -> None:
    with pytest.raises(InvalidValue, match="must be 'full' or 'relaxed'") as caught:
        open_store(url, durability=durability)
    assert caught.value.where == "durability"


def test_a_store_that_is_not_opened_makes_no_folder(tmp_path: Path) -> None:
    open_store(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["MEMORY:", "memory:", "memory://", Path("agents"), "./agents", "file:agents"]
)
def test_a_good_url_is_taken(url: Any) -> None:
    assert isinstance(open_store(url), Store)


# --- closed stores --------------------------------------------------------------------------------


@pytest.mark.parametrize("opened", [False, True], ids=["before open", "after close"])
@pytest.mark.parametrize(("noun", "name"), METHODS, ids=[f"{n}.{m}" for n, m in METHODS])
async def test_a_closed_store_lets_nothing_in(
    store_url: str, noun: str, name: str, opened: bool
) -> None:
    store = open_store(store_url)
    if opened:
        await store.open()
        await store.close()
    method = getattr(getattr(store, noun), name)
    chosen: dict[str, Any] = {"entry": entry("e")} if name == "enqueue" else {}
    chosen |= {"timeout_ms": 1_000} if name == "wait" else {}
    with pytest.raises(StoreClosed, match="the store is closed; open it") as caught:
        await call(method, **chosen)
    assert isinstance(caught.value, WeftError)


async def test_closing_twice_does_no_harm(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreClosed):
        async with store.batch() as step:
            step.mailboxes.send("box", 1)


def test_a_claimed_entry_is_a_claim() -> None:
    claimed: MailboxEntry = entry("e", status="claimed", claim_token="token")
    step = UNOPENED.batch()
    step.mailboxes.ack(claimed)
    assert step._commands == [commands.Ack(entry_id="e", claim_token="token")]
