"""Conversations in JSON Lines, read one by one; a bad line is reported, and reading goes on."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TypeAlias

import msgspec

from treadle.core.codec import Json
from treadle.core.threads import ThreadHead
from treadle.errors import InvalidId, InvalidValue
from treadle.integrations.openai_chat import CHAT_DEPTH, EXPORTS, read_timed_conversation
from treadle.integrations.strict_json import read_json


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """From 1, as editors count."""
    size: int
    """In bytes."""


class Good(_Line, frozen=True, kw_only=True):
    """A line with a conversation."""

    head: ThreadHead


class Repeated(_Line, frozen=True, kw_only=True):
    """A line with the same conversation as the line `first`."""

    first: int


class Bad(_Line, frozen=True, kw_only=True):
    """A line that cannot be read, and the reason."""

    reason: str


Line: TypeAlias = Good | Repeated | Bad

_FORMATS = {
    b"\xff\xfe": "this is UTF-16; `iconv -f UTF-16 -t UTF-8 FILE | treadle import -`",
    b"\xfe\xff": "this is UTF-16; `iconv -f UTF-16 -t UTF-8 FILE | treadle import -`",
    b"\x1f\x8b": "this is compressed; `zcat FILE | treadle import -`",
    b"PK\x03\x04": "this is a zip archive; `unzip -p FILE NAME | treadle import -`, or if it is an "
    "export of ChatGPT or Claude, `treadle import --from chatgpt FILE` or `--from claude FILE`",
}
_ADVICE = {
    "ChatGPT": "`treadle import --from chatgpt FILE`",
    "Claude": "`treadle import --from claude FILE`",
}
_LINES_OF_FIELDS = 50
"""Of a document in lines, so many have the names of its first fields."""


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Return the conversation of each line; empty lines are skipped.

    Raises:
        InvalidValue: the input is no JSON Lines at all, as its first lines show.
    """
    numbered = _numbered(lines)
    first = list(islice(numbered, 1))
    if first and (reason := _find_other_format(first, numbered)):
        raise InvalidValue("input", reason)
    return _read(chain(first, numbered))


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, data in enumerate(lines, start=1):
        text = data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data  # byte order mark
        if text.strip():
            yield number, text


def _read(lines: Iterable[tuple[int, bytes]]) -> Iterator[Line]:
    seen: dict[str, tuple[int, bytes]] = {}
    for number, text in lines:
        yield _read_line(number, text, seen)


def _find_other_format(
    read: list[tuple[int, bytes]], following: Iterator[tuple[int, bytes]]
) -> str | None:
    """Return what the input is if it is not JSON Lines; what it reads further is added to `read`.

    Otherwise each physical line would be an error.
    """
    first = read[0][1].strip()
    for beginning, reason in _FORMATS.items():
        if first.startswith(beginning):
            return reason
    is_array = first.startswith(b"[")
    if not is_array:
        if not _is_incomplete(first):
            return None
        read += islice(following, 1)
        if _is_conversation(read[-1][1]):  # so it is the first line that was torn
            return None
    read += islice(following, _LINES_OF_FIELDS)
    text = b"".join(line for _, line in read)
    for field, program in EXPORTS.items():
        if f'"{field}"'.encode() in text:
            return f"this is an export of {program}; {_ADVICE.get(program, 'it is not read')}"
    query = "'.[]'" if is_array else "."
    return f"this is one JSON document, not JSON Lines; `jq -c {query} FILE | treadle import -`"


def _is_incomplete(text: bytes) -> bool:
    """Return True if a JSON object begins in the text, and does not end in it."""
    if not text.startswith(b"{"):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(error.doc)
    except (ValueError, RecursionError):
        return False
    return False


def _is_conversation(text: bytes) -> bool:
    try:
        chat = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(chat, dict) and "messages" in chat


def _read_line(number: int, data: bytes, seen: dict[str, tuple[int, bytes]]) -> Line:
    size = len(data)
    try:
        chat = read_json(data, "line", CHAT_DEPTH)
        head = read_timed_conversation(chat, "line")
    except (InvalidId, InvalidValue) as error:
        return Bad(number=number, size=size, reason=_reason_of(error))
    thread_id = head.thread.id
    first, digest = seen.setdefault(thread_id, (number, _digest(chat)))
    if first == number:
        return Good(number=number, size=size, head=head)
    if digest == _digest(chat):
        return Repeated(number=number, size=size, first=first)
    reason = f"line {first} has the id {thread_id!r} too, with other content; use another id"
    return Bad(number=number, size=size, reason=reason)


def _reason_of(error: InvalidId | InvalidValue) -> str:
    if isinstance(error, InvalidValue):
        path = error.where.removeprefix("line").removeprefix(".")
        return f"{path}: {error.reason}" if path else error.reason
    return str(error)


def _digest(chat: Json) -> bytes:
    return hashlib.sha256(msgspec.json.encode(chat, order="sorted")).digest()
