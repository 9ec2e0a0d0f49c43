"""Arguments: each one of every method is checked, and what is refused never reaches the backend."""

import datetime
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec import UNSET

from tests.core.test_ids import BAD as BAD_IDS
from treadle import (
    InvalidId,
    InvalidValue,
    Message,
    RunRequest,
    Store,
    Thread,
    ThreadMetadata,
    open_store,
)
from treadle.core.claims import Ack
from treadle.testing._harness.builders import entry, run, says

pytestmark = pytest.mark.filterwarnings("ignore:a batch was never entered:RuntimeWarning")


class Unreached:
    """A backend that is opened and closed; any other call of it fails the test."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def reached(*arguments: object) -> None:
            raise AssertionError(f"{name} was called with {arguments}")

        return reached


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """An open store of which nothing but refusals is expected."""
    async with Store(Unreached()) as opened:  # type: ignore[arg-type]
        yield opened


# --- every argument of every method, found by introspection ---------------------------------------

IDS = {
    "thread_id": "t",
    "parent_thread_id": "t",
    "source": "t",
    "new": "t2",
    "run_id": "r",
    "next_run_id": "r2",
    "parent_run_id": "r",
    "mailbox_id": "box",
    "entry_id": "e",
    "exclude": "e",
    "entry": "e",
    "collection": "c",
}
KINDS = {"source": ["thread"], "new": ["thread"], "next_run_id": ["run"]}
"""What the ids are of, where the argument's name does not say it."""
VALUES: dict[str, Any] = {
    "thread": Thread(id="new"),
    "changes": says("more"),
    "run": run("new"),
    "request": RunRequest(agent_id="a", thread_id="t", run_id="r"),
    "messages": Message.user("hi"),
    "message": Message.user("hi"),
    "answers": (),
    "metadata": {"title": "hi"},
    "payload": 1,
    "headers": {"tenant": "a"},
    "claim_token": "token",
    "consumer": "worker",
    "reason": "newer",
    "error": "boom",
    "traceback": "line 1",
    "resource_id": "u",
    "agent_id": "a",
    "claimed_by": "worker",
    "dedupe_key": "k",
    "answered_by": "s",
    "sender_id": "s",
    "origin": "internal",
    "status": "done",
    "statuses": (),
    "group": "due",
    "entry_ids": (),
    "order": "asc",
    "by": "updated_at",
    "roots": True,
    "asks": True,
    "live": True,
    "idle_ms": 1_000,
    "keep_order": True,
    "removes_rest": True,
    "only_user": True,
    "repeats_answers": True,
    "with_last_message": True,
    "state": {},
    "visibility": "all",
    "termination_code": "ok",
    "termination_detail": "because",
    "expected": 1,
    "after_version": 0,
    "version": 0,
    "after": 0,
    "before": 1,
    "offset": 0,
    "limit": 1,
    "counted": 1,
    "at": 1,
    "keep": 1,
    "drop": 1,
    "input_tokens": 1,
    "output_tokens": 1,
    "ends_run": True,
    "key": "k",
    "keys": ["k"],
    "value": 1,
    "values": True,
    "among": [("c", "k")],
    "mailbox_prefix": "b",
    "except_prefix": "c",
    "prefix": (),
    "expires_at": 1,
    "expires_in_ms": 1,
    "expired_before": 1,
    "priority": 1,
    "delay_ms": 1,
    "due_at": 1,
    "lease_ms": 1,
    "extension_ms": 1,
    "timeout_ms": 0,
    "ended_before": 1,
    "retry_at": 1,
    "now": 1,
    "created_at_from": 1,
    "created_at_to": 1,
    "updated_at_from": 1,
    "updated_at_to": 1,
    "since": 1,
    "until": 1,
}
VALUES_OF: dict[str, dict[str, Any]] = {
    "usage": {"by": "agent"},
    "answer": {"status": "cancelled"},
}
"""The values of methods that take others."""
HUGE = 10**5_000
"""Python refuses to write out an integer of so many digits, even in an error's message."""
NO_MODEL: dict[str, Any] = {
    "none": None,
    "text": "x",
    "number": HUGE,
    "list": [],
    "dict": {},
    "dict of its form": {"id": "a/b", "run_id": "a/b", "thread_id": "t", "messages": []},
    "another model": ThreadMetadata(),
    "its class": Thread,
}
NO_TEXT: dict[str, Any] = {"number": HUGE, "bytes": b"x", "list": ["x"], "surrogate": "\ud800"}
NO_CHOICE: dict[str, Any] = {"another": "nonsense", "empty": "", "number": HUGE, "capitals": "DONE"}
NO_INTEGER: dict[str, Any] = {
    "text": "1",
    "5,000 digits": HUGE,
    "5,000 digits below zero": -HUGE,
    "beyond 63 bits": 2**63,
    "float": 1.0,
    "true": True,
    "too large": 2**64,
    "too small": -(2**63) - 1,
    "list": [1],
}
NO_TIME: dict[str, Any] = NO_INTEGER | {
    "negative": -1,
    "datetime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
}
NO_COUNT: dict[str, Any] = {"text": "1", "float": 1.0, "negative": -1, "none": None}
NO_JSON: dict[str, Any] = {
    "NaN": float("nan"),
    "bytes": b"x",
    "object": object(),
    "set": {1},
    "huge": HUGE,
}
NO_KEY: dict[str, Any] = {
    "number": HUGE,
    "bytes": b"x",
    "surrogate": "\ud800",
    "number in it": ("a", HUGE),
    "separator in it": ("a\x1f",),
}
NO_BOOLEAN: dict[str, Any] = {"number": 1, "text": "true", "none": None}
BAD_VALUES: dict[str, dict[str, Any]] = {
    "thread": NO_MODEL,
    "changes": NO_MODEL,
    **dict.fromkeys(("run", "request", "messages", "message"), NO_MODEL),
    "answers": {"none": None, "a text": "x", "number": 1, "texts": ["x"], "a model": [run("r")]},
    "metadata": {
        "none": None,
        "text": "x",
        "list": [],
        "NaN": {"a": float("nan")},
        "set": {"a": {1}},
    },
    **dict.fromkeys(("payload", "state", "value"), NO_JSON),
    "headers": {
        "number": HUGE,
        "text": "a=b",
        "list": ["a"],
        "a number in it": {"a": 1},
        "a list in it": {"a": ["b"]},
        "surrogate": {"a": "\ud800"},
        "no name": {"": "b"},
        "too many": {str(number): "" for number in range(33)},
    },
    "statuses": {"a text": "done", "another": ["nonsense"], "number": 1, "numbers": [HUGE]},
    "entry_ids": {"none": None, "a text": "e", "number": 1, "numbers": [HUGE]},
    **dict.fromkeys(
        (
            "roots",
            "asks",
            "live",
            "keep_order",
            "values",
            "removes_rest",
            "only_user",
            "repeats_answers",
            "ends_run",
            "with_last_message",
        ),
        NO_BOOLEAN,
    ),
    "key": NO_KEY | {"none": None, "no part": ()},
    "keys": {"number": HUGE, "none": None, "a key": "k", "bad ones": list(NO_KEY.values())},
    "prefix": NO_KEY | {"none": None},
    **dict.fromkeys(
        ("mailbox_prefix", "except_prefix"),
        NO_TEXT | {"empty": "", "numbers": (HUGE,), "too many": ("a",) * 101},
    ),
    "among": {
        "number": HUGE,
        "a text": "c",
        "texts": ["ck"],
        "one part": [("c",)],
        **{name: [("c", key)] for name, key in NO_KEY.items()},
    },
    **dict.fromkeys(("input_tokens", "output_tokens"), NO_COUNT),
    "idle_ms": NO_INTEGER | {"zero": 0},
    "priority": NO_INTEGER | {"negative": -1, "256": 256},
    **dict.fromkeys(
        (
            "claim_token",
            "resource_id",
            "agent_id",
            "claimed_by",
            "dedupe_key",
            "answered_by",
            "sender_id",
            "termination_code",
            "termination_detail",
            "consumer",
            "reason",
            "error",
            "traceback",
        ),
        NO_TEXT | {"none": None},
    ),
    **dict.fromkeys(("order", "by", "origin", "status"), NO_CHOICE | {"none": None}),
    **dict.fromkeys(("visibility", "group"), NO_CHOICE),
    **dict.fromkeys(
        (
            "after_version",
            "version",
            "after",
            "before",
            "offset",
            "limit",
            "counted",
            "timeout_ms",
            "created_at_from",
            "created_at_to",
            "updated_at_from",
            "updated_at_to",
            "since",
            "until",
        ),
        NO_INTEGER | {"none": None},
    ),
    **dict.fromkeys(
        (
            "expected",
            "now",
            "retry_at",
            "at",
            "keep",
            "drop",
            "delay_ms",
            "due_at",
            "lease_ms",
            "extension_ms",
            "ended_before",
            "expired_before",
        ),
        NO_TIME | {"none": None},
    ),
    "expires_at": NO_TIME,
    "expires_in_ms": NO_TIME,
}


def public(part: Any) -> list[str]:
    """The names of the methods a user may call."""
    return [name for name, each in inspect.getmembers(part, callable) if name[0] != "_"]


UNOPENED = open_store("memory:")
NOUNS = ("threads", "runs", "mailboxes", "documents")
METHODS = [(noun, name) for noun in NOUNS for name in public(getattr(UNOPENED, noun))]
BATCHED = [(noun, name) for noun in NOUNS for name in public(getattr(UNOPENED.batch(), noun))]


def arguments(method: Callable[..., Any]) -> list[str]:
    """The names of a method's arguments; `entry` only where an id may be given for it."""
    names = inspect.signature(method).parameters
    return [name for name in names if method.__name__ != "enqueue"]


def call(method: Callable[..., Any], **chosen: Any) -> Any:
    """Call with good arguments where there must be some, but those that are `chosen`."""
    parameters = inspect.signature(method).parameters.items()
    values = {**IDS, **VALUES, **VALUES_OF.get(method.__name__, {})}
    named = {
        name: values[name]
        for name, parameter in parameters
        if parameter.default is parameter.empty or name == "claim_token"
    } | chosen
    if method.__name__ == "touch" and not named.keys() & {"expires_at", "expires_in_ms"}:
        named["expires_at"] = None  # one of the two must be there
    positional = [
        named.pop(name)
        for name, parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL)
    ]
    return method(*positional, **named)


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
    """The bad ids for an argument."""
    return refused(method, argument, {name: value for name, (value, _) in BAD_IDS.items()})


def bad_values(method: Callable[..., Any], argument: str) -> dict[str, Any]:
    """The bad values for an argument."""
    is_key = argument in ("after", "before") and "Document" in method.__qualname__
    return refused(method, argument, NO_KEY if is_key else BAD_VALUES[argument])


def refused(method: Callable[..., Any], argument: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values without None where an argument may be left out."""
    may_be_none = inspect.signature(method).parameters[argument].default in (None, UNSET)
    return {case: value for case, value in values.items() if value is not None or not may_be_none}


@pytest.mark.parametrize(("noun", "name", "argument"), cases(METHODS, UNOPENED, IDS))
async def test_every_method_refuses_bad_ids(
    store: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(store, noun), name)
    accepted = []
    for case, value in bad_ids(method, argument).items():
        try:
            await call(method, **{argument: value})
        except InvalidId as error:
            assert error.value is value
            assert error.reason in str(error)
            assert error.kind in (*KINDS.get(argument, argument.split("_")), "entry")
        else:
            accepted.append(case)
    assert accepted == []


@pytest.mark.parametrize(("noun", "name", "argument"), cases(BATCHED, UNOPENED.batch(), IDS))
async def test_a_batch_with_a_bad_id_is_refused_as_a_whole(
    store: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(store.batch(), noun), name)
    for value in bad_ids(method, argument).values():
        with pytest.raises(InvalidId):
            async with store.batch() as step:
                step.threads.append("t", says("before"))
                added = call(getattr(getattr(step, noun), name), **{argument: value})
                if inspect.iscoroutine(added):  # a request for a run looks at the store
                    await added
                step.mailboxes.send("box", "after")
        assert step.receipt is None


@pytest.mark.parametrize(("noun", "name", "argument"), cases(METHODS, UNOPENED, BAD_VALUES))
async def test_every_method_refuses_bad_values_and_names_the_argument(
    store: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(store, noun), name)
    accepted = []
    for case, value in bad_values(method, argument).items():
        try:
            await call(method, **{argument: value})
        except InvalidValue as error:
            named = re.split(r"[.\[]", error.where)
            assert argument in named or f"{argument}s" in named, case
            assert error.where in str(error)
            assert len(error.reason) > 10, case
        else:
            accepted.append(case)
    assert accepted == []


@pytest.mark.parametrize(("noun", "name", "argument"), cases(BATCHED, UNOPENED.batch(), BAD_VALUES))
async def test_a_batch_with_a_bad_value_is_refused_as_a_whole(
    store: Store, noun: str, name: str, argument: str
) -> None:
    method = getattr(getattr(store.batch(), noun), name)
    for value in bad_values(method, argument).values():
        with pytest.raises(InvalidValue, match=argument):
            async with store.batch() as step:
                step.threads.append("t", says("before"))
                added = call(getattr(getattr(step, noun), name), **{argument: value})
                if inspect.iscoroutine(added):  # a request for a run looks at the store
                    await added
                step.mailboxes.send("box", "after")
        assert step.receipt is None


# --- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ack", "nack", "dead_letter", "release", "extend_lease"])
async def test_an_entry_that_is_not_claimed_is_no_claim(store: Store, name: str) -> None:
    with pytest.raises(InvalidValue, match="pass the entry that claim returned") as caught:
        await getattr(store.mailboxes, name)(entry("e"))
    assert caught.value.where == "claim_token"
    with pytest.raises(InvalidValue, match="entry 'e' has none"):
        await getattr(store.mailboxes, name)("e")


def test_a_claimed_entry_is_a_claim() -> None:
    claim = entry("e", status="claimed", claim_token="token")
    write = UNOPENED.batch().mailboxes.ack(claim)
    assert write.command == Ack(entry_id="e", claim_token="token")
