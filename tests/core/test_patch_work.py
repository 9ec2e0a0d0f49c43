"""The work of patches: counted, limited, and done in slices."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import Patch, PatchError, Thread, apply_patch
from treadle.core import patching
from treadle.core.limits import PATCH_WORK, PATH
from treadle.core.patches import Append, Delete, Increment, Insert, Op, Remove, Set
from treadle.core.patching import apply_in_slices
from treadle.testing._harness.builders import tracked
from treadle.testing._harness.json_diff import same
from treadle.testing._harness.strategies.models import json_values

SIZE = 1_000


def work_of(document: Any, *ops: Op) -> int:
    """How much work operations are, as far as the size of the input does not account for it."""
    counted = 0

    class Counting(patching._Work):
        def add(self, comparisons: int, path: Any) -> None:
            nonlocal counted
            counted += comparisons
            super().add(comparisons, path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patching, "_Work", Counting)
        apply_patch(document, Patch(ops=ops))
    return counted


TRUE = [True] * SIZE
NUMBERS: list[Any] = list(range(SIZE))
FLAT = [{"id": number, "x": 2} for number in range(SIZE)]
OBJECTS = [{"id": number, "x": [1, 2]} for number in range(SIZE)]


@pytest.mark.parametrize(
    ("items", "op", "least", "most"),
    [
        (NUMBERS, Remove((), -1), SIZE, SIZE),
        (NUMBERS, Remove((), "a" * 640), 11 * SIZE, 11 * SIZE),
        (NUMBERS, Remove((), 0), 48, 48 + SIZE // 16),
        (TRUE, Remove((), 1), 48 * SIZE, 48 * SIZE),
        (NUMBERS, Remove((), {}), 4 * SIZE, 4 * SIZE),
        (FLAT, Remove((), {"id": -1, "x": 2}), 20 * SIZE, 20 * SIZE),
        (FLAT, Remove((), {"id": -1, "x" * 640: 2}), 30 * SIZE, 30 * SIZE),
        ([FLAT[0]] * SIZE, Remove((), {"id": 0.0, "x": 2}), 64 * SIZE, 64 * SIZE),
        (OBJECTS, Remove((), {"id": -1, "x": [1, 2]}), 3 * 16 * SIZE, 4 * 16 * SIZE),
        (OBJECTS, Remove((), {"id": 0, "x": [1, 2]}), 6 * 16, 8 * 16 + SIZE // 16),
        ([["a" * 10_240]] * SIZE, Remove((), ["a" * 10_239 + "b"]), 10 * 16 * SIZE, 15 * 16 * SIZE),
        (NUMBERS, Insert((), 0, 1), SIZE // 16, SIZE // 16),
        (NUMBERS, Insert((), SIZE, 1), 0, 0),
        (NUMBERS, Delete((0,)), SIZE // 16, SIZE // 16),
        (NUMBERS, Append((), 1), 0, 0),
        (NUMBERS, Set((5,), 1), 0, 0),
        (NUMBERS, Increment((5,), 1), 0, 0),
    ],
)
def test_what_is_searched_and_moved_is_counted(
    items: list[Any], op: Op, least: int, most: int
) -> None:
    assert least <= work_of(items, op) <= most


@pytest.mark.parametrize(
    ("items", "value", "looks"),
    [
        ([*NUMBERS, 1.0, True, 1], True, 3),
        ([str(number) for number in NUMBERS], "5", 1),
        ([{"id": number} for number in NUMBERS], {"id": 5}, 1),
        ([[number] for number in NUMBERS], [5.0], 1),
        (NUMBERS, {}, 0),
    ],
)
def test_the_list_itself_searches_for_what_is_not_nested(
    items: list[Any], value: Any, looks: int
) -> None:
    """Python looks at an item only if the list takes it for equal."""
    seen: list[Any] = []
    compare = patching._compare

    def counting(left: Any, right: Any) -> tuple[bool, int]:
        seen.append(left)
        return compare(left, right)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patching, "_compare", counting)
        apply_patch(items, Patch((Remove((), value),)))
    assert len(seen) == looks


def test_too_much_work_is_refused_and_the_message_says_what_to_do() -> None:
    removals = tuple(Remove(("list",), f"{number}" * 5_000) for number in range(10, 80))
    assert 20_000 * sum(len(str(op.value)) // 64 for op in removals) > PATCH_WORK
    document = {"list": list(range(20_000))}
    with pytest.raises(PatchError, match=r"set the array as a whole instead") as caught:
        apply_patch(document, Patch(removals))
    assert "100,000,000 items" in str(caught.value)
    assert caught.value.where == "$.list"
    thread = Thread(id="{path}", state=document, patches=(tracked(*removals),))
    for rebuild in (thread.rebuild_state, thread.snapshot, lambda: thread.replay_to(0)):
        with pytest.raises(PatchError, match=r"at \$\.list") as caught:
            rebuild()
        assert "thread '{path}'" in caught.value.__notes__[0]
        assert "snapshot" in caught.value.__notes__[0]


def test_work_comes_in_slices() -> None:
    items = list(range(patching.SLICE * 3))
    assert len(list(apply_in_slices(items, [Patch((Remove((), -1),))]))) == 3
    assert len(list(apply_in_slices([], [Patch((Append((), 1),))]))) == 0
    many = [Patch((Append((), 1),) * patching.SLICE)]
    assert len(list(apply_in_slices([], many))) == patching._OP
    objects: list[Any] = [{}] * patching.SLICE
    assert len(list(apply_in_slices(objects, [Patch((Remove((), {"a": [1]}),))]))) == 4


def test_no_slice_is_much_larger_than_the_others() -> None:
    """Even where each item is taken for equal, or is compared value by value."""
    for items, value in ((TRUE * 100, 1), ([[1, 2]] * 50_000, [1, 3])):
        slices = len(list(apply_in_slices(items, [Patch((Remove((), value),))])))
        assert slices >= work_of(items, Remove((), value)) // (patching.SLICE + 1_000)


def test_a_path_with_too_many_segments_creates_nothing() -> None:
    made = apply_patch({}, Patch((Set(("a",) * PATH, 1),)))
    for _ in range(PATH):
        made = made["a"]
    assert made == 1
    for op in (Set(("a",) * 1_000_000, 1), Append(("a",) * 1_000_000, 1)):
        with pytest.raises(PatchError, match="more than 100 segments") as caught:
            apply_patch({}, Patch((op,)))
        assert len(str(caught.value)) < 1_100
    assert apply_patch({}, Patch((Delete(("a",) * 1_000_000),))) == {}


def test_a_long_key_is_cut_in_the_message() -> None:
    with pytest.raises(PatchError, match="path not found") as caught:
        apply_patch({}, Patch((Increment(("a" * 1_000_000,), 1),)))
    assert len(str(caught.value)) < 1_100


def test_a_value_that_is_nested_too_deep_is_an_error_of_the_patch() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PatchError, match="nested too deep"):
        apply_patch(deep, Patch(()))
    with pytest.raises(PatchError, match=r"at \$\.a is nested too deep"):
        apply_patch({}, Patch((Set(("a",), deep),)))


SCALARS: list[Any] = [0, 1, 1.0, True, False, 0.0, -0.0, None, "", "1"]
NESTED: list[Any] = [[], {}, *([each] for each in SCALARS), *({"a": each} for each in SCALARS)]
VALUES = st.sampled_from([*SCALARS, *NESTED, {"b": 1}, *([[1, each]] for each in NESTED)])


def _equal(left: Any, right: Any) -> bool:
    """The definition: the same types everywhere, and the same values."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    return bool(left == right)


@given(st.lists(VALUES | json_values, max_size=20), VALUES | json_values)
def test_the_first_item_that_is_the_same_is_removed(items: list[Any], value: Any) -> None:
    position = next((i for i, item in enumerate(items) if _equal(item, value)), None)
    kept = items if position is None else items[:position] + items[position + 1 :]
    assert same(apply_patch(items, Patch((Remove((), value),))), kept)
