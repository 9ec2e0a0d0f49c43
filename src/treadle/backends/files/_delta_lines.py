"""The lines of a delta file: what one says of a change, and what can be read of it."""

from collections.abc import Sequence

import msgspec

from treadle.backends.files._entries import was_updated
from treadle.backends.model.steps import positions_of, stored_step
from treadle.core.codec import decode, encode
from treadle.core.limits import Count, Time, Version
from treadle.core.messages import Message, StoredMessage
from treadle.core.threads import (
    History,
    Step,
    StoredThread,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    all_history,
)
from treadle.errors import CorruptRecord

_NO_CHANGES = ThreadChangeSet()
_NOTHING = msgspec.Raw(encode(_NO_CHANGES))
UNFIT = (CorruptRecord, LookupError, RecursionError, ValueError)
"""The errors of lines that are damaged, or of another thread."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A delta; or an update, which has a version and times only."""

    version: Version
    time: Time | None
    since: Time | None
    """When the thread was last changed before; None in the first line of a thread."""
    messages: tuple[msgspec.Raw, ...] | None = None
    """Each is its position in the thread, or the message if the thread had it already."""
    changes: msgspec.Raw = _NOTHING
    """The change set without its messages."""
    removed: tuple[tuple[Time | None, msgspec.Raw], ...] = ()
    """The messages that a truncation removed, and when each was committed."""


def read_step(line: Line, count: int) -> Step:
    """Return the step in a line that led to a thread with so many messages.

    Raises:
        CorruptRecord, LookupError, ValueError: it does not fit.
    """
    changes = decode(ThreadChangeSet, bytes(line.changes))
    stored = [position_or_message(each) for each in line.messages or ()]
    removed = [
        StoredMessage(cursor=cursor, message=decode(Message, bytes(message)), committed_at=time)
        for cursor, (time, message) in enumerate(line.removed, start=changes.truncated_to or 0)
    ]
    return stored_step(changes, stored, removed, count)


def position_or_message(stored: msgspec.Raw) -> int | Message:
    """Return the position of a message that a line names, or the message that it has."""
    if bytes(stored).startswith(b"{"):
        return decode(Message, bytes(stored))
    return msgspec.json.decode(stored, type=Count)


def position_in(stored: msgspec.Raw) -> int | None:
    """Return the position that a line names; None if it has the message itself."""
    found = position_or_message(stored)
    return None if isinstance(found, Message) else found


def kept_by(line: Line) -> int:
    """Return how many messages the truncation in a line has kept.

    Raises:
        CorruptRecord: it is damaged.
    """
    return decode(ThreadChangeSet, bytes(line.changes)).truncated_to or 0


def check_removed(line: Line) -> None:
    """Check the messages that the truncation in a line has removed.

    Raises:
        CorruptRecord: one is damaged.
    """
    for _, message in line.removed:
        decode(Message, bytes(message))


class PastMessages:
    """The messages of a thread, which goes back in time, delta by delta."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._removed: dict[int, msgspec.Raw] = {}
        """Those that were at a position before a truncation removed them."""

    def step_back(self, line: Line) -> ThreadDelta:
        """Return the delta in a line, and go back to the thread before it.

        Raises:
            CorruptRecord, LookupError, ValueError: it does not fit.
        """
        changes = decode(ThreadChangeSet, bytes(line.changes))
        delta = ThreadDelta(
            version=line.version,
            committed_at=msgspec.convert(line.time, Time),
            changes=msgspec.structs.replace(
                changes, messages=tuple(map(self._message, line.messages or ()))
            ),
        )
        self.skip(line)
        return delta

    def skip(self, line: Line) -> None:
        """Go back to the thread before the delta in a line.

        Raises:
            CorruptRecord: it does not fit.
        """
        if line.removed:  # most have removed nothing, and need not be decoded
            for position, (_, message) in enumerate(line.removed, start=kept_by(line)):
                self._removed[position] = message

    def _message(self, stored: msgspec.Raw) -> Message:
        position = position_or_message(stored)
        if isinstance(position, Message):
            return position
        removed = self._removed.get(position)
        return self._messages[position] if removed is None else decode(Message, bytes(removed))


def lines_of(before: StoredThread, after: StoredThread, steps: Sequence[History]) -> list[bytes]:
    """Return the lines of the steps that led from one thread to the next."""
    changed_at = before.head.thread.metadata.updated_at
    lines: list[bytes] = []
    for step in steps:
        lines.append(_line_of(step, changed_at))
        changed_at = step.delta.committed_at
    if was_updated(before, after, steps):
        lines.append(_update_line(after.head, changed_at))
    return lines


def lines_since_whole(after: StoredThread) -> list[bytes]:
    """Return the lines of a thread that one batch has created or saved, and then changed."""
    changed_at: int | None = None
    lines: list[bytes] = []
    for step in all_history(after.history):
        lines.append(_line_of(step, changed_at))
        changed_at = step.delta.committed_at
    if lines and changed_at != after.head.thread.metadata.updated_at:
        lines.append(_update_line(after.head, changed_at))
    return lines


def _update_line(head: ThreadHead, since: int | None) -> bytes:
    """Return the line of an update, which led to the thread as it is."""
    return msgspec.json.encode((head.version, head.thread.metadata.updated_at, since))


def _line_of(step: History, since: int | None) -> bytes:
    """Return the line of a step."""
    delta = step.delta
    parts: list[object] = [delta.version, delta.committed_at, since, _stored_messages(step)]
    changes = msgspec.structs.replace(delta.changes, messages=())
    gone = [(each.committed_at, msgspec.Raw(encode(each.message))) for each in step.removed]
    if gone or changes != _NO_CHANGES:
        encoded = msgspec.Raw(encode(changes))
        parts += (encoded, gone) if gone else (encoded,)
    return msgspec.json.encode(parts)


def _stored_messages(step: History) -> Sequence[object]:
    """Return what a line has of the messages of a step."""
    messages = step.delta.changes.messages
    if len(step.added) == len(messages):  # the thread had none of them
        return list(range(step.kept, step.kept + len(messages)))
    positions = positions_of(step)
    return [
        positions[index] if index in positions else msgspec.Raw(encode(message))
        for index, message in enumerate(messages)
    ]
