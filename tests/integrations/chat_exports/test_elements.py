"""The elements of an array are cut out of a stream, wherever its chunks end."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle import InvalidValue
from treadle.integrations.chat_exports._elements import split_array

LEAVES = st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[],: \n\u20ac')
VALUES: st.SearchStrategy[Any] = LEAVES | st.lists(
    LEAVES | st.lists(LEAVES, max_size=2), max_size=3
)
OBJECTS = st.lists(st.dictionaries(st.text(alphabet='a"\\{[]'), VALUES, max_size=4), max_size=5)


def chunks_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@settings(max_examples=60)
@given(OBJECTS, st.integers(1, 40), st.sampled_from([None, 1]))
def test_the_elements_are_those_that_json_reads(
    objects: list[Any], size: int, indent: int | None
) -> None:
    data = json.dumps(objects, indent=indent).encode()
    found = [json.loads(each) for each in split_array(chunks_of(data, size), 1 << 20)]  # type: ignore[arg-type]
    assert found == objects


@settings(max_examples=60)
@given(st.lists(VALUES), st.integers(1, 40))
def test_what_is_no_object_is_not_lost(values: list[Any], size: int) -> None:
    data = json.dumps(values).encode()
    found = list(split_array(chunks_of(data, size), 1 << 20))
    assert b"".join(each for each in found if isinstance(each, bytes)).replace(b" ", b"").replace(
        b",", b""
    ) == data[1:-1].replace(b" ", b"").replace(b",", b"")


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(1, 10))
def test_any_bytes_give_elements_or_reasons(data: bytes, size: int) -> None:
    for each in split_array(chunks_of(b"[" + data, size), 10):
        assert isinstance(each, InvalidValue) or len(each) <= 10


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_an_element_that_is_no_json_harms_itself_only(size: int) -> None:
    data = b'[{"a": 1}, {"a": NaN,,}, {"b": "]}"}]'
    found = list(split_array(chunks_of(data, size), 1 << 20))
    assert found == [b'{"a": 1}', b'{"a": NaN,,}', b'{"b": "]}"}']


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_an_element_that_is_too_large_is_skipped(size: int) -> None:
    data = b'[{"a": 1}, {"a": "' + b"x\\\\]" * 50 + b'"}, {"b": 2}]'
    one, two, three = split_array(chunks_of(data, size), 100)
    assert (one, three) == (b'{"a": 1}', b'{"b": 2}')
    assert isinstance(two, InvalidValue)
    assert "209 bytes; 100 are read at most" in two.reason


@pytest.mark.parametrize("data", [b"", b"  \n", b'{"a": 1}', b"null", b"PK"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        list(split_array([data], 100))


@pytest.mark.parametrize("end", [1, 5, 9, 10])
def test_a_file_that_was_cut_off_gives_what_is_whole(end: int) -> None:
    data = b'[{"a": 1}, {"b": "x'
    found = list(split_array([data[:-end]], 100))
    assert found[:-1] == [b'{"a": 1}']
    assert isinstance(found[-1], InvalidValue)
    assert "ends before" in found[-1].reason


def test_what_follows_the_array_is_reported() -> None:
    found = list(split_array([b'\xef\xbb\xbf[{"a": 1}] ', b"[2]"], 100))
    assert found[0] == b'{"a": 1}'
    assert isinstance(found[-1], InvalidValue)
    assert "follows" in found[-1].reason
