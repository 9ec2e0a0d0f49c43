"""The messages that deltas name by their positions, also those that have been removed since."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from treadle.backends.sql.program import Row
from treadle.backends.sql.rows import DeltaBodyParts, DeltaRow, read_columns, read_message
from treadle.core.codec import decode
from treadle.core.limits import Count, Version
from treadle.core.messages import Message
from treadle.core.threads import ThreadDelta


class RemovedRow(msgspec.Struct, frozen=True, array_like=True):
    """The columns from which a message is read that a truncation removed."""

    position: Count
    version: Version
    body: str


class PastMessages:
    """The messages of a thread, each as long as it was there.

    Args:
        messages: rows of those that are there, with their positions.
        removed: rows of those that truncations removed, with their positions and the versions of
            these truncations, which rise.
    """

    def __init__(self, messages: Iterable[Row], removed: Iterable[Row]) -> None:
        self._messages = {each.cursor: each.message for each in map(read_message, messages)}
        self._removed: dict[int, list[tuple[int, Message]]] = defaultdict(list)
        for row in removed:
            position, version, message = _read_removed(row)
            self._removed[position].append((version, message))

    def at(self, position: int, version: int) -> Message:
        """Return the message that was at a position when the thread was at a version."""
        # It stayed until the first truncation that took this position.
        for removed_by, message in self._removed.get(position, ()):
            if removed_by > version:
                return message
        return self._messages[position]


def _read_removed(row: Row) -> tuple[int, int, Message]:
    columns = read_columns(RemovedRow, row)
    return columns.position, columns.version, decode(Message, columns.body)


def read_delta(row: DeltaRow, body: DeltaBodyParts, messages: PastMessages) -> ThreadDelta:
    """A delta from its row and its body, with the messages at its positions."""
    changes, stored = body
    restored = tuple(
        messages.at(each, row.version) if isinstance(each, int) else each for each in stored
    )
    return ThreadDelta(
        version=row.version,
        committed_at=row.committed_at,
        changes=msgspec.structs.replace(changes, messages=restored),
    )
