"""JSON Patch: it does what the operations of a patch do, wherever these fit."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_patches import CASES, documents, patches
from treadle import Patch, PatchError
from treadle.core.codec import from_plain
from treadle.core.json_patch import Edits, pointer
from treadle.core.patches import Append, Delete, Increment, Insert, MergeObject, Op, Remove, Set
from treadle.core.patching import apply_in_slices, completed
from treadle.testing._harness.json_diff import differences


def applied(document: Any, edits: list[dict[str, Any]]) -> Any:
    """A document after operations of JSON Patch, as RFC 6902 has them."""
    root = [copy.deepcopy(document)]
    for edit in edits:
        container: Any = root
        key: Any = 0
        segments = edit["path"].split("/")[1:]
        for segment in segments:
            container = container[key]
            key = segment.replace("~1", "/").replace("~0", "~")
            if isinstance(container, list):
                key = len(container) if key == "-" else int(key)
        match edit["op"]:
            case "add" if isinstance(container, list) and segments:
                assert key <= len(container)
                container.insert(key, edit["value"])
            case "add":
                container[key] = edit["value"]
            case "replace":
                container[key]  # it must be there
                container[key] = edit["value"]
            case _:
                del container[key]
        root = copy.deepcopy(root)
    return root[0]


def check(document: Any, ops: list[Op]) -> list[dict[str, Any]]:
    edits = Edits()
    patches = [Patch(tuple(ops))]
    expected = completed(apply_in_slices(copy.deepcopy(document), patches, edits=edits))
    assert list(differences(applied(document, edits.items), expected)) == []
    return edits.items


EXAMPLES: list[tuple[Any, Op, list[dict[str, Any]]]] = [
    ({"a": 1}, Set(("a",), 2), [{"op": "replace", "path": "/a", "value": 2}]),
    ({}, Set(("a", "b"), 2), [{"op": "add", "path": "/a", "value": {"b": 2}}]),
    ({"a": [1]}, Set(("a", "b"), 2), [{"op": "replace", "path": "/a", "value": {"b": 2}}]),
    (None, Set(("a",), 2), [{"op": "replace", "path": "", "value": {"a": 2}}]),
    ([1], Set((), 2), [{"op": "replace", "path": "", "value": 2}]),
    ([1, 2], Set((1,), 3), [{"op": "replace", "path": "/1", "value": 3}]),
    ({"a": [1]}, Append(("a",), 2), [{"op": "add", "path": "/a/-", "value": 2}]),
    ({"a": None}, Append(("a",), 2), [{"op": "replace", "path": "/a", "value": [2]}]),
    ({}, Append(("a",), 2), [{"op": "add", "path": "/a", "value": [2]}]),
    ({"a": {}}, MergeObject(("a",), {"b": 1}), [{"op": "add", "path": "/a/b", "value": 1}]),
    ({"a": {}}, MergeObject(("a",), {}), []),
    ({}, MergeObject(("a",), {"b": 1}), [{"op": "add", "path": "/a", "value": {"b": 1}}]),
    ({"n": 1}, Increment(("n",), 2), [{"op": "replace", "path": "/n", "value": 3}]),
    ([1, 2], Insert((), 2, 3), [{"op": "add", "path": "/2", "value": 3}]),
    ([1, 2], Remove((), 2), [{"op": "remove", "path": "/1"}]),
    ([1, 2], Remove((), 3), []),
    ({"a": 1}, Delete(("a",)), [{"op": "remove", "path": "/a"}]),
    ({"a": 1}, Delete(("b",)), []),
    ({"a": 1}, Delete(()), [{"op": "replace", "path": "", "value": None}]),
    ({"a/b": {"~": 1}}, Delete(("a/b", "~")), [{"op": "remove", "path": "/a~1b/~0"}]),
]


@pytest.mark.parametrize(("document", "op", "expected"), EXAMPLES)
def test_each_operation(document: Any, op: Op, expected: list[dict[str, Any]]) -> None:
    assert check(document, [op]) == expected


def test_a_value_that_changes_later_is_as_it_was() -> None:
    check({}, [Set(("a",), []), Append(("a",), 1), Append(("a",), 2), Remove(("a",), 1)])


def test_it_does_what_the_reference_does() -> None:
    for case in CASES:
        if "raises" not in case:
            check(case["doc"], list(from_plain(Patch, case["patch"]).ops))


@given(documents, st.lists(patches(), max_size=4))
def test_it_does_what_any_patch_does(document: Any, given: list[Patch]) -> None:
    fitting: list[Op] = []
    for op in (op for each in given for op in each.ops):
        try:
            check(document, [*fitting, op])
        except PatchError:
            continue
        fitting.append(op)


def test_a_pointer_of_the_root_is_empty() -> None:
    assert (pointer(()), pointer(("", 0))) == ("", "//0")
