"""The messages that are being written, as `treadle threads follow --live` shows them."""

from collections import deque

import msgspec

from treadle.cli.terminal.output import write_line, write_piece
from treadle.core.codec import Json
from treadle.core.escaping import one_line
from treadle.core.live import LivePiece, piece_in
from treadle.core.messages import Message

_LATEST = 100
"""Of how many committed messages late pieces are left out."""


class LiveText:
    """Writes pieces of messages one after the other: a line for each part, which grows.

    Another part, a new attempt at the same part (numbers from 0), or a line of its own begins a new
    line. So a reader of a pipe gets whole lines, too.
    """

    def __init__(self) -> None:
        self._part: tuple[str, str, str | None] | None = None
        """The part whose line is open."""
        self._next = 0
        """The number that the next piece of it has, if none was lost."""
        self._committed: deque[str | None] = deque(maxlen=_LATEST)

    def show(self, value: Json) -> None:
        """Write a live value."""
        piece = piece_in(value)
        if piece is None:
            self.end()
            write_line(f"…  {one_line(msgspec.json.encode(value).decode())}")
        elif piece.message_id not in self._committed:
            self._write(piece)

    def end(self) -> None:
        """End the line that is open."""
        if self._part is not None:
            self._part = None
            write_line()

    def note_committed(self, *messages: Message) -> None:
        """Write no more pieces of messages that were committed: they are late."""
        self._committed.extend(message.id for message in messages)

    def _write(self, piece: LivePiece) -> None:
        part = (piece.message_id, piece.part, piece.tool_call_id)
        if part != self._part or piece.number == 0:
            self.end()
            write_piece(f"…  {_title(piece)}")
            self._part, self._next = part, 0
        if piece.number != self._next:
            write_piece("[…]")
        write_piece(piece.delta)
        self._next = piece.number + 1


def _title(piece: LivePiece) -> str:
    match piece.part:
        case "text":
            return "assistant: "
        case "reasoning":
            return "assistant thinks: "
        case "tool_call":
            return f"assistant: → {piece.tool_name or 'tool'} "
