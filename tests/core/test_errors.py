"""Errors: one tree, data as attributes, advice in the message, and they survive pickling."""

import copy
import pickle

import pytest

import treadle
from treadle import errors
from treadle.errors import TreadleError

EXAMPLES: list[tuple[TreadleError, dict[str, object], str]] = [
    (
        errors.InvalidId("thread", "a/b", "no /"),
        {"kind": "thread", "value": "a/b", "reason": "no /"},
        "invalid thread id 'a/b': no /",
    ),
    (
        errors.InvalidValue("send.payload.a", "JSON has no nan"),
        {"where": "send.payload.a", "reason": "JSON has no nan"},
        "invalid value at send.payload.a: JSON has no nan",
    ),
    (
        errors.PatchError("$.a", "path not found: $.a"),
        {"where": "$.a", "reason": "path not found: $.a"},
        "path not found: $.a",
    ),
    (errors.NotFound("thread", "t"), {"kind": "thread", "key": "t"}, "thread 't' does not exist"),
    (errors.AlreadyExists("thread", "t"), {"kind": "thread", "key": "t"}, "use another id"),
    (
        errors.VersionConflict("thread", "t", 3, 4),
        {"kind": "thread", "key": "t", "expected": 3, "actual": 4},
        "thread 't' is at version 4, not 3; load it again",
    ),
    (
        errors.GenerationMismatch("m", 2, 1),
        {"mailbox_id": "m", "expected": 2, "actual": 1},
        "mailbox 'm' is at generation 2, not 1; load its state",
    ),
    (
        errors.ClaimConflict("e", "its lease ran out"),
        {"entry_id": "e", "reason": "its lease ran out"},
        "the claim on entry 'e' is not held: its lease ran out; stop working on it",
    ),
    (
        errors.RunConflict("r", "done", "answered"),
        {"run_id": "r", "status": "done", "termination_code": "answered"},
        "run 'r' does not wait: it is done ('answered'); it was answered",
    ),
    (
        errors.NotWaiting("t", "i"),
        {"thread_id": "t", "interrupt_id": "i"},
        "no run of thread 't' waits for an answer to 'i': it was answered",
    ),
    (
        errors.CorruptRecord("t.json", "truncated"),
        {"where": "t.json", "reason": "truncated"},
        "t.json cannot be read: truncated; run `treadle doctor`",
    ),
    (errors.StoreClosed(), {}, "the store is closed; open it with"),
    (
        errors.StoreUnavailable("/x", "disk full"),
        {"where": "/x", "reason": "disk full"},
        "the store at /x is not available: disk full",
    ),
    (
        errors.ReadOnlyStore("/x"),
        {"where": "/x"},
        "the store at /x is open to read only; open it without read_only",
    ),
    (
        errors.SchemaTooNew("/x", 2, 1),
        {"where": "/x", "found": 2, "supported": 1},
        "upgrade Treadle to open it",
    ),
    (
        errors.SchemaTooOld("/x", "0002_notes"),
        {"where": "/x", "missing": "0002_notes"},
        "lacks migration 0002_notes; run `treadle migrate` on it",
    ),
]
each_example = pytest.mark.parametrize(
    ("error", "data", "message"), EXAMPLES, ids=[type(each[0]).__name__ for each in EXAMPLES]
)


def test_every_error_of_the_tree_is_here_and_exported() -> None:
    tree = {value for value in vars(errors).values() if isinstance(value, type)}
    tree = {kind for kind in tree if issubclass(kind, TreadleError)}
    assert {type(error) for error, _, _ in EXAMPLES} == tree - {TreadleError}
    assert {kind.__name__ for kind in tree} <= set(treadle.__all__)


@each_example
def test_an_error_says_what_and_what_to_do_and_carries_its_data(
    error: TreadleError, data: dict[str, object], message: str
) -> None:
    assert message in str(error)
    assert {name: getattr(error, name) for name in data} == data
    assert error.command is None


@each_example
def test_an_error_survives_pickling_and_copying(
    error: TreadleError, data: dict[str, object], message: str
) -> None:
    error.command = "command 1 of 2: Ack 'e'"
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.command == error.command
        assert {name: getattr(again, name) for name in data} == data
    error.command = None


def test_a_long_value_is_shortened() -> None:
    assert len(str(errors.InvalidId("thread", "x" * 10_000, "too long"))) < 150


def test_the_builtin_kinds_are_those_one_expects() -> None:
    assert issubclass(errors.InvalidId, ValueError)
    assert issubclass(errors.InvalidValue, ValueError)
    assert issubclass(errors.NotFound, LookupError)
