"""What a client of a run has seen so far: live pieces first, and then the messages themselves.

A piece is shown if all before it have come. When a message is committed, what is missing of it
follows. If the client has seen something that is not in the message, it gets all messages again.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from treadle.core.codec import Json
from treadle.core.live import LivePiece, PartKind
from treadle.core.messages import Message
from treadle.http._run_events import PartBegan, PartEnded, PartGrew, RunEvent, ToolAnswered


class _Part:
    """A part of a message that is being shown."""

    def __init__(self, message_id: str, part: PartKind, call_id: str, tool_name: str) -> None:
        self.message_id = message_id
        self.part: PartKind = part
        self.call_id = call_id
        self.tool_name = tool_name
        self.shown = ""
        self.next_number = 0
        """The number of the piece that is shown next."""

    def ended(self, arguments: Json = None, *, is_complete: bool = True) -> PartEnded:
        return PartEnded(
            self.message_id, self.part, self.call_id, self.tool_name, arguments, is_complete
        )


class Transcript:
    """The messages of a stream, piece by piece or as a whole, each once."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = set(known)
        """Ids of messages that the client has."""
        self._open: dict[tuple[str, PartKind, str], _Part] = {}
        self._called: dict[str, None] = {}
        self.is_wrong = False
        """Whether the client has seen what is not in the thread."""

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The tool calls that have no result."""
        return tuple(self._called)

    def forget(self, messages: Iterable[Message]) -> None:
        """Begin again: the client gets these messages as a whole."""
        self._known.clear()
        self._called.clear()
        for message in messages:
            self._known.add(message.id or "")
            self._called |= dict.fromkeys(call.id for call in message.tool_calls or ())
            self._called.pop(message.tool_call_id or "", None)
        self.is_wrong = False

    def show(self, piece: LivePiece) -> Iterator[RunEvent]:
        """Show a piece, if it is the next one of its part."""
        if piece.message_id in self._known:
            return
        call_id = piece.tool_call_id or ""
        key = (piece.message_id, piece.part, call_id)
        part = self._open.get(key)
        if part is None and piece.number == 0:
            name = piece.tool_name or ""
            part = self._open[key] = _Part(piece.message_id, piece.part, call_id, name)
            yield PartBegan(piece.message_id, piece.part, call_id=call_id, tool_name=name)
        if part is None or piece.number != part.next_number:
            return
        part.next_number += 1
        part.shown += piece.delta
        if piece.delta:
            yield PartGrew(piece.message_id, piece.part, piece.delta, call_id)

    def commit(self, message: Message, unnamed: str) -> Iterator[RunEvent]:
        """Show what is missing of a message that is in the thread now.

        Args:
            message: the message.
            unnamed: its id, if it has none.
        """
        message_id = message.id or unnamed
        if message_id in self._known or message.visibility == "internal":
            return
        self._known.add(message_id)
        if message.role == "tool":
            self._called.pop(message.tool_call_id or "", None)
            yield ToolAnswered(msgspec.structs.replace(message, id=message_id))
            return
        yield from self._close(message_id, "reasoning")
        yield from self._commit_text(message, message_id)
        for call in message.tool_calls or ():
            self._called[call.id] = None
            yield from self._commit_call(message_id, call.id, call.name, call.arguments)
        yield from self._close(message_id)

    def end(self) -> Iterator[RunEvent]:
        """End all parts of messages that were never committed."""
        for part in tuple(self._open.values()):
            self.is_wrong = True
            yield from self._close(part.message_id)

    def _commit_text(self, message: Message, message_id: str) -> Iterator[RunEvent]:
        text = text_of(message.content)
        part = self._open.pop((message_id, "text", ""), None)
        if part is None and not text:
            return
        shown = "" if part is None else part.shown
        if part is None:
            role = cast("str", message.role)
            yield PartBegan(message_id, "text", "user" if role == "user" else "assistant")
        if not text.startswith(shown):
            self.is_wrong = True
        elif len(text) > len(shown):
            yield PartGrew(message_id, "text", text[len(shown) :])
        yield PartEnded(message_id, "text")

    def _commit_call(
        self, message_id: str, call_id: str, name: str, arguments: Json
    ) -> Iterator[RunEvent]:
        part = self._open.pop((message_id, "tool_call", call_id), None)
        if part is None:
            part = _Part(message_id, "tool_call", call_id, name)
            yield PartBegan(message_id, "tool_call", call_id=call_id, tool_name=name)
        text = msgspec.json.encode(arguments).decode()
        if text.startswith(part.shown):
            if len(text) > len(part.shown):
                yield PartGrew(message_id, "tool_call", text[len(part.shown) :], call_id)
        elif not _is_same(part.shown, arguments):
            self.is_wrong = True
        yield part.ended(arguments)

    def _close(self, message_id: str, kind: PartKind | None = None) -> Iterator[RunEvent]:
        for key in [key for key in self._open if key[0] == message_id and kind in (None, key[1])]:
            yield self._open.pop(key).ended(is_complete=message_id in self._known)


def text_of(content: str | list[Json]) -> str:
    """Return the text of a message: that of its parts, if it has parts."""
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def output_of(message: Message) -> Json:
    """Return the result of a tool: the value, if it is JSON.

    A number that would lose digits stays a text, such as that of an order, or a price of 1.10.
    """
    text = text_of(message.content)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_kept = abs(value) <= _LARGEST and msgspec.json.encode(value).decode() == text.strip()
        return value if is_kept else text
    return value


_LARGEST = 2**53 - 1
"""The largest integer that JavaScript tells from its neighbours."""


def _is_same(shown: str, arguments: Json) -> bool:
    try:
        return bool(msgspec.json.decode(shown) == arguments)
    except (msgspec.DecodeError, RecursionError):
        return False
