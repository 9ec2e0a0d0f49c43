"""Patches: tirea's 2,000 answers, and what holds for every patch."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import InvalidValue, Patch, PatchError, apply_patch
from treadle.core.codec import from_plain
from treadle.core.patches import Decrement, Increment, Insert, Op, Remove, Set
from treadle.testing._harness.builders import patch
from treadle.testing._harness.json_diff import differences, same
from treadle.testing._harness.recorded import load_patches
from treadle.testing._harness.strategies.models import json_values, models

CASES = load_patches()
CHUNK = 200


def test_all_vectors_are_there() -> None:
    assert len(CASES) == 2000
    assert sum("raises" in case for case in CASES) > 500


@pytest.mark.parametrize("start", range(0, len(CASES), CHUNK))
def test_patches_do_what_the_reference_does(start: int) -> None:
    wrong: list[str] = []
    for number, case in enumerate(CASES[start : start + CHUNK], start=start + 1):
        document = copy.deepcopy(case["doc"])
        change = from_plain(Patch, case["patch"])
        found: dict[str, Any]
        try:
            found = {"returns": apply_patch(document, change)}
        except PatchError as error:
            found = {"raises": "State", "message": str(error)}
        expected = {key: case[key] for key in ("returns", "raises", "message") if key in case}
        wrong += [f"line {number}: {text}" for text in differences(found, expected)]
        wrong += [f"line {number}: touched {text}" for text in differences(document, case["doc"])]
    assert wrong == []


documents = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3) | json_values
short_paths = st.lists(st.sampled_from(["a", "b", "c", 0, 1]), max_size=3).map(tuple)


def _redirect(op: Any, path: tuple[Any, ...]) -> Any:
    return type(op)(**{name: getattr(op, name) for name in op.__struct_fields__} | {"path": path})


@st.composite
def patches(draw: st.DrawFn) -> Patch:
    """Any patch, with paths that have a chance to be there."""
    ops = draw(models(Patch, extra=False)).ops + draw(models(Patch, extra=False)).ops
    return Patch(ops=tuple(_redirect(op, draw(short_paths)) for op in ops))


def _outcome(document: Any, change: Patch) -> Any:
    try:
        return ["done", apply_patch(document, change)]
    except PatchError as error:
        return ["failed", str(error), error.where]


@given(documents, patches())
def test_the_document_is_not_touched_whether_it_works_or_fails(
    document: Any, change: Patch
) -> None:
    before = copy.deepcopy(document)
    _outcome(document, change)
    assert same(document, before)


@given(documents, patches())
def test_the_same_patch_does_the_same_again(document: Any, change: Patch) -> None:
    assert same(_outcome(document, change), _outcome(document, change))


@given(documents, patches(), patches())
def test_operations_are_applied_one_after_the_other(
    document: Any, first: Patch, second: Patch
) -> None:
    both = _outcome(document, Patch(ops=first.ops + second.ops))
    one = _outcome(document, first)
    assert same(both, one if one[0] == "failed" else _outcome(one[1], second))


@given(documents, patches())
def test_the_result_shares_nothing_with_document_or_patch(document: Any, change: Patch) -> None:
    before, kept = copy.deepcopy(document), copy.deepcopy(change)
    outcome = _outcome(document, change)
    if outcome[0] == "done":
        _spoil(outcome[1])
    assert same(document, before)
    assert change == kept


def _spoil(value: Any) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value["spoiled"] = True
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append("spoiled")


@pytest.mark.parametrize(
    ("document", "op"),
    [
        ({}, '{"op":"set","path":["a"],"value":[1]}'),
        ({}, '{"op":"lattice_merge","path":["a"],"value":[1]}'),
        ({}, '{"op":"append","path":["a"],"value":[1]}'),
        ({}, '{"op":"merge_object","path":["a"],"value":{"b":[1]}}'),
        ({"a": []}, '{"op":"insert","path":["a"],"index":0,"value":[1]}'),
    ],
)
def test_a_value_comes_into_the_document_as_a_copy(document: Any, op: str) -> None:
    change = patch(f'{{"ops": [{op}]}}')
    kept = copy.deepcopy(change)
    _spoil(apply_patch(document, change))
    assert change == kept


@given(documents)
def test_an_empty_patch_changes_nothing(document: Any) -> None:
    assert same(apply_patch(document, Patch(ops=())), document)


@given(documents, json_values)
def test_a_set_at_the_root_replaces_all(document: Any, value: Any) -> None:
    assert same(apply_patch(document, Patch(ops=(Set(path=(), value=value),))), value)


RULES: dict[str, tuple[Any, str, Any]] = {
    "set makes the objects on the way": (
        {},
        '{"op":"set","path":["a","b"],"value":1}',
        {"a": {"b": 1}},
    ),
    "set writes over what is not an object": (
        {"a": 5},
        '{"op":"set","path":["a","b"],"value":1}',
        {"a": {"b": 1}},
    ),
    "set replaces an item": ([1, 2], '{"op":"set","path":[1],"value":9}', [1, 9]),
    "set past the end fails": (
        [1],
        '{"op":"set","path":[1],"value":9}',
        "index 1 out of bounds (len: 1) at path $[1]",
    ),
    "delete takes a key": ({"a": 1, "b": 2}, '{"op":"delete","path":["a"]}', {"b": 2}),
    "delete takes an item": ([1, 2], '{"op":"delete","path":[0]}', [2]),
    "delete of nothing is not an error": ({"a": 1}, '{"op":"delete","path":["b","c"]}', {"a": 1}),
    "delete of the root leaves null": ({"a": 1}, '{"op":"delete","path":[]}', None),
    "append adds at the end": (
        {"a": [1]},
        '{"op":"append","path":["a"],"value":2}',
        {"a": [1, 2]},
    ),
    "append makes the array": ({}, '{"op":"append","path":["a"],"value":2}', {"a": [2]}),
    "append to a string fails": (
        {"a": ""},
        '{"op":"append","path":["a"],"value":2}',
        "append requires array value at $.a",
    ),
    "merge puts keys": (
        {"a": {"x": 1}},
        '{"op":"merge_object","path":["a"],"value":{"y":2}}',
        {"a": {"x": 1, "y": 2}},
    ),
    "merge of no object fails": (
        {},
        '{"op":"merge_object","path":["a"],"value":1}',
        "merge requires object value at $.a",
    ),
    "increment of integers stays integer": (
        {"n": 1},
        '{"op":"increment","path":["n"],"amount":2}',
        {"n": 3},
    ),
    "increment by a float is a float": (
        {"n": 1},
        '{"op":"increment","path":["n"],"amount":2.0}',
        {"n": 3.0},
    ),
    "decrement takes away": ({"n": 1}, '{"op":"decrement","path":["n"],"amount":2}', {"n": -1}),
    "increment of nothing fails": (
        {},
        '{"op":"increment","path":["n"],"amount":2}',
        "path not found: $.n",
    ),
    "increment of true fails": (
        {"n": True},
        '{"op":"increment","path":["n"],"amount":2}',
        "numeric operation requires number at $.n",
    ),
    "increment beyond 64 bits fails": (
        {"n": 2**63 - 1},
        '{"op":"increment","path":["n"],"amount":1}',
        "invalid operation: increment overflow at $.n: 9223372036854775807 + 1",
    ),
    "decrement below 64 bits fails": (
        {"n": -(2**63)},
        '{"op":"decrement","path":["n"],"amount":1}',
        "invalid operation: decrement overflow at $.n: -9223372036854775808 - 1",
    ),
    "increment to infinity fails": (
        {"n": 1.7e308},
        '{"op":"increment","path":["n"],"amount":1.7e308}',
        "invalid operation: increment produced non-finite value at $.n",
    ),
    "insert puts before": (
        {"a": [1, 3]},
        '{"op":"insert","path":["a"],"index":1,"value":2}',
        {"a": [1, 2, 3]},
    ),
    "insert at the end": (
        {"a": [1]},
        '{"op":"insert","path":["a"],"index":1,"value":2}',
        {"a": [1, 2]},
    ),
    "insert past the end fails": (
        {"a": [1]},
        '{"op":"insert","path":["a"],"index":2,"value":2}',
        "index 2 out of bounds (len: 1) at path $.a",
    ),
    "remove takes the first that is equal": (
        {"a": [1, 2, 1]},
        '{"op":"remove","path":["a"],"value":1}',
        {"a": [2, 1]},
    ),
    "remove knows 1 from true and 1.0": (
        {"a": [True, 1.0]},
        '{"op":"remove","path":["a"],"value":1}',
        {"a": [True, 1.0]},
    ),
    "remove from an object fails": (
        {"a": {}},
        '{"op":"remove","path":["a"],"value":1}',
        "type mismatch at $.a: expected array, found object",
    ),
    "lattice merge is a set": (
        {"a": [1]},
        '{"op":"lattice_merge","path":["a"],"value":[2]}',
        {"a": [2]},
    ),
}


@pytest.mark.parametrize(("document", "op", "expected"), RULES.values(), ids=RULES)
def test_an_operation(document: Any, op: str, expected: Any) -> None:
    change = patch(f'{{"ops": [{op}]}}')
    if isinstance(expected, str):
        with pytest.raises(PatchError) as caught:
            apply_patch(document, change)
        assert str(caught.value) == expected
        assert caught.value.where in expected
        assert isinstance(caught.value, InvalidValue)
    else:
        assert list(differences(apply_patch(document, change), expected)) == []


HUGE = 10**5_000
"""Python refuses to write out an integer of so many digits, even in an error's message."""


@pytest.mark.parametrize(
    ("document", "op"),
    [
        ({"n": 1}, Increment(path=("n",), amount=HUGE)),
        ({"n": 1}, Decrement(path=("n",), amount=HUGE)),
        ({"n": 1.5}, Increment(path=("n",), amount=HUGE)),
        ({"n": -HUGE}, Increment(path=("n",), amount=1)),
        ({"n": HUGE}, Decrement(path=("n",), amount=1)),
        ({"n": []}, Insert(path=("n",), index=HUGE, value=1)),
        ({"n": []}, Set(path=("n", HUGE), value=1)),
        ({"n": 1}, Remove(path=("n", HUGE), value=1)),
    ],
)
def test_an_integer_of_5000_digits_is_an_error_of_the_patch(document: Any, op: Op) -> None:
    with pytest.raises(PatchError) as caught:
        apply_patch(document, Patch(ops=(op,)))
    assert len(str(caught.value)) < 300
