"""JSON Lines of conversations, read one by one: a bad line is reported, the rest goes on."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from treadle.cli.chat.conversations import read_conversation
from treadle.cli.chat.strict import read_json
from treadle.core.codec import Json
from treadle.core.threads import Thread
from treadle.errors import InvalidId, InvalidValue


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """From 1, as editors count."""
    size: int
    """In bytes."""


class Good(_Line, frozen=True, kw_only=True):
    """A line that is a conversation."""

    thread: Thread


class Repeated(_Line, frozen=True, kw_only=True):
    """A line with the conversation of the line `first` once more."""

    first: int


class Bad(_Line, frozen=True, kw_only=True):
    """A line that cannot be read, and why."""

    reason: str


Line: TypeAlias = Good | Repeated | Bad


def read_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """The conversations in `lines`; empty lines are passed over."""
    seen: dict[str, tuple[int, bytes]] = {}
    for number, data in enumerate(lines, start=1):
        text = data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data
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
    reason = f"the id {thread.id!r} is on line {first} too, with other content; give it another id"
    return Bad(number=number, size=size, reason=reason)


def _reason_of(error: InvalidId | InvalidValue) -> str:
    if isinstance(error, InvalidValue):
        place = error.where.removeprefix("line").removeprefix(".")
        return f"{place}: {error.reason}" if place else error.reason
    return str(error)


def _digest(chat: Json) -> bytes:
    return hashlib.sha256(msgspec.json.encode(chat, order="sorted")).digest()
