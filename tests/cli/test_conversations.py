"""Conversations of the chat format, read into threads and written back."""

import json
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import SHIPPED, line_of
from treadle.cli.chat.conversations import read_conversation, write_conversation
from treadle.cli.chat.lines import Bad, Good, Repeated, read_lines
from treadle.errors import InvalidId, InvalidValue


def read(path: Path) -> list[tuple[Any, treadle.Thread]]:
    lines = path.read_bytes().splitlines()
    threads = [line.thread for line in read_lines(lines) if isinstance(line, Good)]
    return list(zip([json.loads(line) for line in lines], threads, strict=True))


def check_round_trip(path: Path) -> int:
    pairs = read(path)
    for chat, thread in pairs:
        assert write_conversation(thread) == chat
        stored = treadle.decode(treadle.Thread, treadle.encode(thread))
        assert write_conversation(stored) == chat
        assert read_conversation(write_conversation(stored)) == thread
    return len(pairs)


def test_the_shipped_conversations_come_back_as_they_were() -> None:
    assert check_round_trip(SHIPPED) == 36


def test_real_conversations_come_back_as_they_were(airline: Path) -> None:
    assert check_round_trip(airline) == 100


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Brakes", "reward": 0.0, "tags": ["a", {"b": None}]},
        {"created_at": "2024-01-01", "version": "two", "updated_at": 3},
        {"openai_chat": {"a": 1}, "state": 1, "resource_id": "not ours"},
        {"treadle": {"resource_id": "u1", "parent_thread_id": "p1", "state": {"x": 1}}},
        {"treadle": {"metadata": {"id": 7, "treadle": 1}}},
    ],
)
def test_further_fields_come_back_as_they_were(fields: dict[str, Any]) -> None:
    chat = json.loads(line_of("t1", "hi", **fields))
    thread = read_conversation(chat)
    assert write_conversation(thread) == chat
    assert write_conversation(treadle.decode(treadle.Thread, treadle.encode(thread))) == chat


def test_what_only_treadle_knows_comes_back() -> None:
    thread = treadle.Thread(
        id="t1",
        resource_id="user-1",
        parent_thread_id="t0",
        messages=(treadle.Message.user("hi"), treadle.Message.internal_system("quiet")),
        state={"n": 1},
        patches=(
            treadle.TrackedPatch(
                patch=treadle.decode(
                    treadle.Patch, '{"ops": [{"op": "set", "path": ["n"], "value": 2}]}'
                )
            ),
        ),
        metadata=treadle.ThreadMetadata(extra={"title": "x", "id": "inner", "messages": 3}),
    )
    chat = json.loads(json.dumps(write_conversation(thread)))
    assert read_conversation(chat) == thread
    assert read_conversation(chat).rebuild_state() == {"n": 2}


def test_a_conversation_without_an_id_gets_one_from_its_content() -> None:
    chat = json.loads(line_of(None, "hi"))
    thread = read_conversation(chat)
    assert thread.id.startswith("chat-")
    assert read_conversation(chat) == thread
    assert read_conversation(json.loads(line_of(None, "ho"))).id != thread.id


def test_messages_get_ids_that_are_always_the_same() -> None:
    thread = read_conversation(json.loads(line_of("t1", "a", "b")))
    assert [message.id for message in thread.messages] == ["t1-0", "t1-1"]


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
        (b'{"messages": [], "treadle": {"new": 1}}', "treadle: this Treadle does not know new"),
        (b'{"messages": [], "treadle": {"parent_thread_id": "a/b"}}', "invalid thread id 'a/b'"),
    ],
)
def test_a_bad_line_is_told_with_its_reason(line: bytes, reason: str) -> None:
    [first, bad, last] = read_lines([line_of("a", "x").encode(), line, line_of("b").encode()])
    assert isinstance(first, Good)
    assert isinstance(last, Good)
    assert isinstance(bad, Bad)
    assert bad.number == 2
    assert reason in bad.reason
    assert "\n" not in bad.reason


def test_two_messages_of_one_id_are_refused() -> None:
    message = {"role": "user", "content": "hi", "id": "same"}
    with pytest.raises(InvalidValue, match=r"messages\[1\].id: 'same' is the id of messages\[0\]"):
        read_conversation({"id": "t", "messages": [message, message]})


def test_an_id_with_other_content_later_in_the_file_is_refused() -> None:
    one, other = line_of("t1", "a").encode(), line_of("t1", "b").encode()
    first, second, third = read_lines([one, other, one])
    assert isinstance(first, Good)
    assert isinstance(second, Bad)
    assert "on line 1 too" in second.reason
    assert isinstance(third, Repeated)
    assert third.first == 1


def test_empty_lines_and_a_byte_order_mark_are_passed_over() -> None:
    lines = list(read_lines([b"\xef\xbb\xbf" + line_of("a").encode(), b"\n", b"  \r\n"]))
    assert [line.number for line in lines] == [1]
    assert isinstance(lines[0], Good)


def test_ids_are_checked() -> None:
    with pytest.raises(InvalidId, match="must not contain"):
        read_conversation({"id": "../x", "messages": []})
