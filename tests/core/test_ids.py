"""Ids: what is accepted, what is refused, and that what is accepted is a file's name."""

import tempfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from treadle import InvalidId
from treadle.core.ids import IdKind, check_id
from treadle.core.limits import ID_BYTES

GOOD = {
    "letter": "a",
    "digits": "0123",
    "uuid": "01932f4e-7b1c-7def-8000-0123456789ab",
    "dot": "a.b",
    "leading dot": ".hidden",
    "trailing dot": "a.",
    "longest with a dot": f"{'x' * 100}.{'y' * 99}",
    "space": "a b",
    "leading underscore": "_runs",
    "json suffix": "a.json",
    "unicode": "поток",
    "emoji": "🧵",
    "combining": "e\u0301",
    "almost a device": "console",
    "device inside": "my-nul",
    "device with a number too high": "com10",
    "longest": "x" * ID_BYTES,
    "longest of two bytes each": "é" * (ID_BYTES // 2),
}
BAD = {
    "empty": ("", "empty"),
    "slash": ("a/b", "/"),
    "leading slash": ("/a", "/"),
    "backslash": ("a\\b", "\\"),
    "parent": ("..", ".."),
    "climbing": ("../a", "/"),
    "dots inside": ("a..b", ".."),
    "dots inside a longer one": ("langgraph..t", ".."),
    "newline behind a dot": ("langgraph.t\n", "control"),
    "too long with a dot": (f"{'x' * 101}.{'y' * 99}", "200 bytes"),
    "nul character": ("a\0b", "control"),
    "newline": ("a\n", "control"),
    "tab": ("\ta", "control"),
    "escape": ("a\x1b", "control"),
    "delete": ("a\x7f", "control"),
    "next line": ("a\x85", "control"),
    "last control": ("a\x9f", "control"),
    "high surrogate": ("a\ud800", "surrogate"),
    "low surrogate": ("\udc00a", "surrogate"),
    "too long": ("x" * (ID_BYTES + 1), "200 bytes"),
    "too many bytes": ("é" * (ID_BYTES // 2 + 1), "200 bytes"),
    "con": ("con", "device"),
    "CON": ("CON", "device"),
    "nul": ("nul", "device"),
    "prn with an extension": ("prn.txt", "device"),
    "aux with a stream": ("aux:x", "device"),
    "com1": ("com1", "device"),
    "lpt9": ("LPT9", "device"),
    "com superscript": ("com¹", "device"),
    "conin$": ("conin$", "device"),
    "device and spaces": ("nul  ", "device"),
    "none": (None, "must be a string, not NoneType"),
    "number": (5, "must be a string, not int"),
    "bytes": (b"a", "must be a string, not bytes"),
    "list": (["a"], "must be a string, not list"),
    "number of 5,000 digits": (10**5_000, "must be a string, not int"),
}


@pytest.mark.parametrize("kind", get_args(IdKind))
@pytest.mark.parametrize("value", GOOD.values(), ids=GOOD)
def test_good_ids_come_back_as_they_are(kind: IdKind, value: str) -> None:
    assert check_id(kind, value) is value


@pytest.mark.parametrize("kind", get_args(IdKind))
@pytest.mark.parametrize(("value", "reason"), BAD.values(), ids=BAD)
def test_bad_ids_are_refused_with_the_reason(kind: IdKind, value: object, reason: str) -> None:
    with pytest.raises(InvalidId) as caught:
        check_id(kind, value)
    assert caught.value.kind == kind
    assert caught.value.value is value
    assert reason in caught.value.reason
    assert f"invalid {kind} id " in str(caught.value)
    assert len(str(caught.value)) < 200


ids = st.text(st.characters() | st.sampled_from("./\\: \0é🧵"), max_size=ID_BYTES + 5)


@given(ids)
@example("x" * ID_BYTES)
@example("é" * (ID_BYTES // 2))
@example(".")
def test_every_accepted_id_is_the_name_of_a_file_in_its_folder(value: str) -> None:
    try:
        check_id("thread", value)
    except InvalidId:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{value}.json")
        path.write_bytes(b"{}")
        temporary = Path(folder, f"{value}.json.{'0' * 32}.tmp")
        temporary.write_bytes(b"{}")
        assert path.parent == Path(folder)
        assert {each.name for each in Path(folder).iterdir()} == {path.name, temporary.name}
