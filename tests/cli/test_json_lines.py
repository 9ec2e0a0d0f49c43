"""Conversations in JSON Lines."""

import pytest

from tests.cli.support import line_of
from treadle.cli.json_lines import Bad, Good, Repeated, read_lines


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
        (b'{"id": 5, "messages": []}', "invalid thread id 5: it must be a string"),
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
