"""Conversations in JSON Lines, read one by one; a bad line is reported, and reading goes on."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from treadle.core.codec import Json
from treadle.core.threads import Thread
from treadle.errors import InvalidId, InvalidValue
from treadle.integrations.openai_chat import read_conversation
from treadle.integrations.strict_json import read_json


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """From 1, as editors count."""
    size: int
    """In bytes."""


class Good(_Line, frozen=True, kw_only=True):
    """A line with a conversation."""

    thread: Thread


class Repeated(_Line, frozen=True, kw_only=True):
    """A line with the same conversation as the line `first`."""

    first: int


class Bad(_Line, frozen=True, kw_only=True):
    """A line that cannot be read, and the reason."""

    reason: str


Line: TypeAlias = Good | Repeated | Bad


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Yield the conversation of each line; empty lines are skipped."""
    seen: dict[str, tuple[int, bytes]] = {}
    for number, data in enumerate(lines, start=1):
        text = data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data  # byte order mark
        if text.strip():
            yield _read_line(number, text, seen)


def _read_line(number: int, data: bytes, seen: dict[str, tuple[int, bytes]]) -> Line:
    size = len(data)
    try:
        chat = read_json(data, "line")
        thread = read_conversation(chat, "line")
    except (InvalidId, InvalidValue) as error:
        return Bad(number=number, size=size, reason=_reason_of(error))
    first, digest = seen.setdefault(thread.id, (number, _digest(chat)))
    if first == number:
        return Good(number=number, size=size, thread=thread)
    if digest == _digest(chat):
        return Repeated(number=number, size=size, first=first)
    reason = f"line {first} has the id {thread.id!r} too, with other content; use another id"
    return Bad(number=number, size=size, reason=reason)


def _reason_of(error: InvalidId | InvalidValue) -> str:
    if isinstance(error, InvalidValue):
        path = error.where.removeprefix("line").removeprefix(".")
        return f"{path}: {error.reason}" if path else error.reason
    return str(error)


def _digest(chat: Json) -> bytes:
    return hashlib.sha256(msgspec.json.encode(chat, order="sorted")).digest()
