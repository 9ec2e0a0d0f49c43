"""The codec: what is written is read back the same, unknown fields and all; the rest is refused."""

import copy
import dataclasses
import datetime
import decimal
import enum
import gc
import json
import math
import sys
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle import (
    CorruptRecord,
    InvalidValue,
    Message,
    RunRecord,
    Thread,
    ToolCall,
    decode,
    encode,
)
from treadle.core.codec import (
    Model,
    SortedModel,
    check_json,
    checked,
    copied,
    from_plain,
    to_plain,
)
from treadle.core.commands import Receipt, TimedCommand
from treadle.core.limits import DEPTH, LARGEST_INTEGER, SMALLEST_INTEGER
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.queries import Together
from treadle.testing._harness.json_diff import differences, same
from treadle.testing._harness.strategies.models import json_values, json_without_floats, models

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "reference_store"


def is_defined(kind: type[Model]) -> bool:
    """Whether it is the class of that name; a decorator may have left another for the collector."""
    return getattr(sys.modules[kind.__module__], kind.__name__, None) is kind


def all_models(kind: type[Model] = Model) -> list[type[Model]]:
    """Every model of the core that is written somewhere (receipts and `Together` are not)."""
    found = [
        each
        for sub in kind.__subclasses__()
        for each in [sub, *all_models(sub)]
        if each.__module__.startswith("treadle.core.") and is_defined(each)
    ]
    return sorted(
        set(found) - {SortedModel, TimedCommand, Receipt, Together}, key=lambda each: each.__name__
    )


MODELS = all_models()


def test_values_are_not_tracked_by_the_garbage_collector() -> None:
    assert not gc.is_tracked(Thread(id="t", messages=(Message.user(["hi"]),), state={"a": [1]}))
    assert [kind for kind in MODELS if kind.__struct_config__.gc] == []


def test_the_models_are_found() -> None:
    assert {Thread, RunRecord, MailboxEntry, MailboxState, Message, ToolCall} <= set(MODELS)
    assert len(MODELS) > 40


each_model = pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)


@each_model
@settings(max_examples=5)
@given(data=st.data())
def test_a_model_is_read_back_as_it_was_written(kind: type[Model], data: st.DataObject) -> None:
    write_and_read_back(kind, data.draw(models(kind)))


@pytest.mark.soak
@each_model
@settings(max_examples=1_000)
@given(data=st.data())
def test_a_model_is_read_back_whatever_is_in_it(kind: type[Model], data: st.DataObject) -> None:
    write_and_read_back(kind, data.draw(models(kind)))


def write_and_read_back(kind: type[Model], value: Model) -> None:
    """All at once, because drawing a model takes longer than all that is done with it."""
    pretty, compact = encode(value, pretty=True), encode(value)
    assert b"\n" not in compact
    assert msgspec.json.format(compact, indent=2) == pretty
    for written in (pretty, pretty.decode(), compact):
        assert decode(kind, written) == value
    again = decode(kind, pretty)
    assert list(differences(to_plain(again), to_plain(value))) == []
    assert encode(again, pretty=True) == pretty
    assert same(json.loads(compact), to_plain(value))
    assert from_plain(kind, to_plain(value)) == value
    assert checked(value) == value


def without_patches(thread: Thread) -> Thread:
    """Floats are printed in another way by Python; amounts may be some."""
    return msgspec.structs.replace(thread, patches=())


@given(models(Thread, json=json_without_floats).map(without_patches))
def test_a_sorted_model_is_printed_with_sorted_keys_everywhere(thread: Thread) -> None:
    plain = json.loads(encode(thread))
    expected = json.dumps(plain, indent=2, ensure_ascii=False, sort_keys=True)
    assert encode(thread, pretty=True).decode() == expected


@given(models(MailboxEntry, json=json_without_floats))
def test_other_models_are_printed_in_order_and_their_json_sorted(entry: MailboxEntry) -> None:
    plain = json.loads(encode(entry))
    known = [name for name in entry.__struct_fields__ if name in plain and name != "extra"]
    assert list(plain)[: len(known)] == known
    expected = {key: json.loads(json.dumps(plain[key], sort_keys=True)) for key in plain}
    text = json.dumps(expected, indent=2, ensure_ascii=False)
    assert encode(entry, pretty=True).decode() == text


NESTED = {
    "thread": b'{"id":"t","later":1}',
    "metadata": b'{"id":"t","metadata":{"later":{"x":[1.0]}}}',
    "message": b'{"id":"t","messages":[{"role":"user","content":"","later":null}]}',
    "message metadata": b'{"id":"t","messages":[{"role":"user","content":"","metadata":{"x":1}}]}',
    "tool call": b'{"id":"t","messages":[{"role":"user","content":"","tool_calls":'
    b'[{"id":"c","name":"n","type":"function"}]}]}',
    "tracked patch": b'{"id":"t","patches":[{"patch":{"ops":[]},"later":1}]}',
    "patch": b'{"id":"t","patches":[{"patch":{"ops":[],"later":1}}]}',
    "operation": (
        b'{"id":"t","patches":[{"patch":{"ops":[{"op":"set","path":[],"value":1,"x":2}]}}]}'
    ),
    "every level": b'{"id":"t","a":1,"metadata":{"b":2},"messages":[{"role":"user","content":"",'
    b'"c":3,"metadata":{"d":4},"tool_calls":[{"id":"c","name":"n","e":5}]}],'
    b'"patches":[{"f":6,"patch":{"g":7,"ops":[{"op":"delete","path":["a"],"h":8}]}}]}',
    "the marker itself": b'{"id":"t","<extra>":{"<extra>":1},"state":{"<extra>":2}}',
}


@pytest.mark.parametrize("source", NESTED.values(), ids=NESTED)
def test_unknown_fields_are_kept_at_every_level(source: bytes) -> None:
    defaults = to_plain(Thread(id="t"))
    again = json.loads(encode(decode(Thread, source)))
    expected = {**defaults, **json.loads(source)}
    for message in expected["messages"]:
        for call in message.get("tool_calls", ()):
            call.setdefault("arguments", None)
    assert list(differences(again, expected)) == []


def golden(pattern: str) -> list[Path]:
    if not GOLDEN.is_dir():
        pytest.skip(f"{GOLDEN} is not there")
    found = sorted(GOLDEN.glob(pattern))
    assert found
    return found


GOLDEN_KINDS: dict[str, type[Model]] = {
    "*.json": Thread,
    "_runs/*.json": RunRecord,
    "_mailbox/*.json": MailboxEntry,
    "_mailbox_threads/*.json": MailboxState,
}


@pytest.mark.parametrize(("pattern", "kind"), GOLDEN_KINDS.items(), ids=GOLDEN_KINDS)
def test_every_document_of_the_reference_is_written_back_to_the_byte(
    pattern: str, kind: type[Model]
) -> None:
    changed = [
        str(path)
        for path in golden(pattern)
        if encode(decode(kind, path.read_bytes()), pretty=True) != path.read_bytes()
    ]
    assert changed == []


CORRUPT = {
    "nothing": (b"", "truncated"),
    "half": (b'{"id": "t', "truncated"),
    "a list": (b"[]", "object"),
    "a string": (b'"t"', "object"),
    "no id": (b"{}", "id"),
    "id of another type": (b'{"id": 5}', "$.id"),
    "two documents": (b'{"id":"t"}{"id":"t"}', "trailing"),
    "not utf-8": (b'{"id":"\xff"}', "utf-8"),
    "a lone surrogate": (b'{"id":"\\ud800"}', "truncated"),
    "NaN": (b'{"id":"t","state":NaN}', "malformed"),
    "zeros": (b"\0" * 20, "malformed"),
    "role": (b'{"id":"t","messages":[{"role":"boss","content":""}]}', "$.messages[0].role"),
    "operation": (b'{"id":"t","patches":[{"patch":{"ops":[{"op":"x"}]}}]}', "ops[0]"),
    "operation without its path": (
        b'{"id":"t","patches":[{"patch":{"ops":[{"op":"set"}]}}]}',
        "ops[0]",
    ),
    "negative time": (b'{"id":"t","metadata":{"created_at":-1}}', "$.metadata.created_at"),
    "too deep": (b'{"id":"t","state":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion"),
}


@pytest.mark.parametrize(("source", "reason"), CORRUPT.values(), ids=CORRUPT)
def test_what_cannot_be_read_is_a_corrupt_record_that_names_the_place(
    source: bytes, reason: str
) -> None:
    with pytest.raises(CorruptRecord) as caught:
        decode(Thread, source)
    assert caught.value.where == "a Thread"
    assert reason in caught.value.reason
    assert "find out which program wrote it" in str(caught.value)


class Colour(enum.Enum):
    """No JSON."""

    RED = "red"


class Level(enum.IntEnum):
    """A number, and more."""

    LOW = 1


class Text(str):
    """A string, and more."""

    __slots__ = ()


@dataclasses.dataclass
class Point:
    """No JSON."""

    x: int = 1


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def endless() -> Any:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


BAD_JSON: dict[str, tuple[Any, str, str]] = {
    "NaN": (float("nan"), "", "JSON has no nan"),
    "infinity": (float("inf"), "", "JSON has no inf"),
    "minus infinity": ([-float("inf")], "[0]", "JSON has no -inf"),
    "NaN inside": ({"a": [1, {"b": float("nan")}]}, ".a[1].b", "JSON has no nan"),
    "lone surrogate": ("\ud800", "", "lone surrogate"),
    "lone surrogate inside": ({"a": ["x", "\udfff"]}, ".a[1]", "lone surrogate"),
    "lone surrogate in a key": ({"a": {"\ud800": 1}}, ".a", "lone surrogate"),
    "integer too large": (LARGEST_INTEGER + 1, "", "does not fit 64 bits"),
    "integer too small": ([SMALLEST_INTEGER - 1], "[0]", "does not fit 64 bits"),
    "integer as key": ({1: 2}, "", "the key 1 is not a string"),
    "None as key": ({"a": {None: 2}}, ".a", "the key None is not a string"),
    "bytes": (b"x", "", "cannot hold a bytes"),
    "bytearray": ({"a": bytearray(b"x")}, ".a", "cannot hold a bytearray"),
    "memoryview": (memoryview(b"x"), "", "cannot hold a memoryview"),
    "set": ({"a": {1}}, ".a", "cannot hold a set"),
    "frozenset": (frozenset(), "", "cannot hold a frozenset"),
    "tuple": ((1, 2), "", "tuple"),
    "tuple inside": ({"a": [(1,)]}, ".a[0]", "tuple"),
    "datetime": (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "", "cannot hold a datetime"),
    "date": ([datetime.date(2026, 1, 1)], "[0]", "cannot hold a date"),
    "timedelta": (datetime.timedelta(1), "", "cannot hold a timedelta"),
    "uuid": ({"a": uuid.UUID(int=1)}, ".a", "cannot hold a UUID"),
    "decimal": (decimal.Decimal(1), "", "cannot hold a Decimal"),
    "complex": (1j, "", "cannot hold a complex"),
    "enum": (Colour.RED, "", "cannot hold a Colour"),
    "integer enum": (Level.LOW, "", "cannot hold a Level"),
    "subclass of string": ([Text("x")], "[0]", "cannot hold a Text"),
    "dataclass": (Point(), "", "cannot hold a Point"),
    "model": (Thread(id="t"), "", "cannot hold a Thread"),
    "model in a list": ([Thread(id="t")], "[0]", "cannot hold a Thread"),
    "model in a dict": ({"a": Thread(id="t")}, ".a", "cannot hold a Thread"),
    "object": ({"a": object()}, ".a", "cannot hold an object"),
    "function": (len, "", "cannot hold a builtin_function_or_method"),
    "range": (range(3), "", "cannot hold a range"),
    "type": (int, "", "cannot hold a type"),
    "exception": (ValueError("x"), "", "cannot hold a ValueError"),
    "too deep": (nested(DEPTH + 1), "[0]" * (DEPTH - 1), "nested deeper than 100 levels"),
    "far too deep": (nested(100_000), "[0]", "nested deeper than 100 levels"),
    "endless": (endless(), "[0]", "nested deeper than 100 levels"),
}


@pytest.mark.parametrize(("value", "place", "reason"), BAD_JSON.values(), ids=BAD_JSON)
def test_check_json_refuses_what_json_cannot_hold(value: Any, place: str, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_json(value, "here")
    assert caught.value.where.startswith(f"here{place}")
    assert reason in caught.value.reason


@pytest.mark.parametrize(("value", "place", "reason"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_model_with_such_a_value_is_refused_by_its_place(
    value: Any, place: str, reason: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        checked(Thread(id="t", state=value), "create")
    assert caught.value.where.startswith(f"create.state{place}")
    assert reason in caught.value.reason


@pytest.mark.parametrize(("value", "place", "reason"), BAD_JSON.values(), ids=BAD_JSON)
def test_unknown_fields_hold_no_such_value_either(value: Any, place: str, reason: str) -> None:
    message = Message(role="user", content="", extra={"x": value})
    with pytest.raises(InvalidValue) as caught:
        checked(Thread(id="t", messages=(message,)), "create")
    assert caught.value.where.startswith(f"create.messages[0].extra.x{place}")
    assert reason in caught.value.reason


def test_a_default_that_somebody_has_changed_is_checked() -> None:
    thread = Thread(id="t")
    thread.metadata.extra["x"] = math.nan  # all threads share the default
    try:
        with pytest.raises(InvalidValue) as caught:
            checked(thread)
    finally:
        thread.metadata.extra.clear()
    assert caught.value.where == "Thread.metadata.extra.x"


@given(json_values)
def test_copies_are_equal_and_share_nothing(value: Any) -> None:
    thread = Thread(id="t", state=[value], extra={"x": {"y": value}})
    for copy_of in (checked(thread), copied(thread), copied((thread,))[0]):
        before = copy.deepcopy(thread)
        assert copy_of == thread
        copy_of.state.append(1)
        copy_of.extra["x"]["z"] = 1
        assert thread == before


def test_the_greatest_depth_and_the_extreme_integers_are_accepted() -> None:
    value = [nested(DEPTH - 1), LARGEST_INTEGER, SMALLEST_INTEGER]
    check_json(value, "here")
    thread = Thread(id="t", state=value)
    assert decode(Thread, encode(checked(thread))) == thread
