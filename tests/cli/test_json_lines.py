"""Conversations in JSON Lines."""

import gzip
import json
import os
import time
from typing import Any

import pytest

from tests.cli.support import line_of, run
from treadle.cli.commands.import_.importing import Failed, Summary
from treadle.cli.json_lines import Bad, Good, Repeated, read_lines
from treadle.errors import InvalidValue


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "it is not JSON: Expecting value (column 1)"),
        (b'{"messages": [', "it is not JSON"),
        (b'{"messages": [], "a": "\xff"}', "it is not UTF-8"),
        (b"[]", "it must be an object, not a list"),
        (b"3", "it must be an object, not a number"),
        (b"{}", "it has no messages"),
        (b'{"messages": {}}', "messages: it must be a list, not an object"),
        (b'{"messages": ["hi"]}', "messages[0]: it must be an object, not a string"),
        (b'{"messages": [{"role": "bot", "content": ""}]}', "messages[0].role: it must be one of"),
        (b'{"messages": [], "a": NaN}', "JSON has no NaN"),
        (b'{"messages": [], "a": -Infinity}', "JSON has no -Infinity"),
        (b'{"messages": [], "a": 1e999}', "JSON has no inf"),
        (b'{"messages": [], "a": "\\ud800"}', "a: the text has a lone surrogate"),
        (b'{"messages": [{"role": "user", "content": "\\udfff"}]}', "messages[0].content: the te"),
        (b'{"messages": [], "a": 18446744073709551616}', "a: the integer 18446744073709551616"),
        (b"[" * 9999, "it is nested deeper than 100 levels"),
        (b'{"messages": [], "a": ' + b"[" * 150 + b"]" * 150 + b"}", "nested deeper than 100"),
        (b'{"id": "a/b", "messages": []}', "invalid thread id 'a/b'"),
        (b'{"id": 5.5, "messages": []}', "id: it must be a string, not a number"),
        (b'{"id": "", "messages": []}', "invalid thread id ''"),
        (
            b'{"messages": [], "treadle": {"new": 1}}',
            "treadle: this version of Treadle does not know new",
        ),
        (b'{"messages": [], "treadle": {"parent_thread_id": "a/b"}}', "invalid thread id 'a/b'"),
    ],
)
def test_a_bad_line_is_reported_with_its_reason(line: bytes, reason: str) -> None:
    [first, bad, last] = read_lines([line_of("a", "x").encode(), line, line_of("b").encode()])
    assert isinstance(first, Good)
    assert isinstance(last, Good)
    assert isinstance(bad, Bad)
    assert bad.number == 2
    assert reason in bad.reason
    assert "\n" not in bad.reason


def test_a_second_conversation_with_the_same_id_is_refused() -> None:
    one, other = line_of("t1", "a").encode(), line_of("t1", "b").encode()
    first, second, third = read_lines([one, other, one])
    assert isinstance(first, Good)
    assert isinstance(second, Bad)
    assert "line 1 has the id 't1' too" in second.reason
    assert isinstance(third, Repeated)
    assert third.first == 1


def test_empty_lines_and_a_byte_order_mark_are_skipped() -> None:
    lines = list(read_lines([b"\xef\xbb\xbf" + line_of("a").encode(), b"\n", b"  \r\n"]))
    assert [line.number for line in lines] == [1]
    assert isinstance(lines[0], Good)


CHATS = [json.loads(line_of("a", "x")), json.loads(line_of("b", "y"))]
CHATGPT = [{"title": "t", "create_time": 1.5, "mapping": {"n": {"message": None}}}]
CLAUDE = [{"uuid": "u", "name": "n", "account": {"uuid": "a"}, "chat_messages": []}]
OTHER_FORMATS: dict[str, tuple[bytes, str]] = {
    "array on one line": (json.dumps(CHATS).encode(), "`jq -c '.[]' FILE | treadle import -`"),
    "array": (json.dumps(CHATS, indent=2).encode(), "one JSON document, not JSON Lines"),
    "array of lines": (b"[\n" + line_of("a").encode() + b"\n]\n", "`jq -c '.[]' FILE"),
    "array after empty lines": (b"\n\n" + json.dumps(CHATS).encode(), "`jq -c '.[]' FILE"),
    "array with a mark": (b"\xef\xbb\xbf" + json.dumps(CHATS).encode(), "`jq -c '.[]' FILE"),
    "object": (json.dumps(CHATS[0], indent=2).encode(), "`jq -c . FILE | treadle import -`"),
    "object that ends the file": (b'{"messages": [', "`jq -c . FILE"),
    "export of ChatGPT": (
        json.dumps(CHATGPT).encode(),
        "an export of ChatGPT; `treadle import --from chatgpt FILE`",
    ),
    "export of ChatGPT in lines": (json.dumps(CHATGPT, indent=1).encode(), "export of ChatGPT"),
    "export of Claude": (
        json.dumps(CLAUDE, indent=4).encode(),
        "an export of Claude; `treadle import --from claude FILE`",
    ),
    "ShareGPT": (
        json.dumps([{"conversations": []}]).encode(),
        "an export of ShareGPT; it is not read",
    ),
    "UTF-16": (line_of("a").encode("utf-16"), "this is UTF-16; `iconv"),
    "gzip": (gzip.compress(line_of("a").encode()), "this is compressed; `zcat FILE"),
    "zip": (b"PK\x03\x04...", "this is a zip archive"),
}


@pytest.mark.parametrize(("data", "reason"), OTHER_FORMATS.values(), ids=OTHER_FORMATS)
def test_another_format_is_reported_once_and_nothing_is_read(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidValue, match="input") as caught:
        read_lines(data.splitlines(keepends=True))
    assert reason in caught.value.reason
    result = run("import", input=data)
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: invalid value at input: this is ")
    assert result.stderr.count("\n") == 1
    assert not os.path.exists("agents")


def test_a_torn_first_line_is_one_error() -> None:
    first, second, third = read_lines(
        [b'{"messages": [\n', line_of("a").encode(), line_of("b").encode()]
    )
    assert isinstance(first, Bad)
    assert isinstance(second, Good)
    assert isinstance(third, Good)
    assert [first.number, second.number, third.number] == [1, 2, 3]


@pytest.mark.parametrize(
    ("chat", "program"),
    [(CHATGPT[0], "ChatGPT"), (CLAUDE[0], "Claude"), ({"conversations": []}, "ShareGPT")],
)
def test_a_line_of_another_program_is_named(chat: dict[str, Any], program: str) -> None:
    [bad] = read_lines([json.dumps(chat).encode()])
    assert isinstance(bad, Bad)
    assert f"it is a conversation of {program}" in bad.reason


def test_many_bad_lines_are_collected_in_time_in_proportion() -> None:
    """The tuple of all errors was copied for each: with 200,000 that took minutes."""
    before = time.monotonic()
    summary = Summary()
    for number in range(200_000):
        summary.add(Failed(number=number, size=1, reason="bad"))
    assert time.monotonic() - before < 30
    assert len(summary.errors) == 200_000
