"""The past of a thread: what its deltas did, and the messages that they name by position."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from treadle.backends.model.steps import stored_step
from treadle.backends.sql.program import Read, Row
from treadle.backends.sql.rows import damage_of
from treadle.backends.sql.thread_rows import (
    DeltaBodyParts,
    DeltaRow,
    MessageRow,
    read_columns,
    read_delta_body,
    read_message,
    stored_message,
)
from treadle.core.limits import LARGEST_TIME, Version
from treadle.core.messages import Message, StoredMessage
from treadle.core.threads import Step, ThreadDelta, ThreadHead


class RemovedRow(MessageRow, frozen=True, array_like=True):
    """The columns from which a message is read that a truncation removed."""

    version: Version


class PastMessages:
    """The messages of a thread at any of its versions.

    Args:
        messages: rows of those that the thread has, with their positions.
        removed: rows of those that truncations removed, with their positions and the versions of
            these truncations, which rise.
    """

    def __init__(self, messages: Iterable[Row], removed: Iterable[Row]) -> None:
        self._messages = {each.cursor: each.message for each in map(read_message, messages)}
        self._removed: dict[int, list[tuple[int, Message]]] = defaultdict(list)
        for row in removed:
            version, each = _read_removed(row)
            self._removed[each.cursor].append((version, each.message))

    def at(self, position: int, version: int) -> Message:
        """Return the message that was at a position when the thread was at a version."""
        # It stayed until the first truncation that took this position.
        for removed_by, message in self._removed.get(position, ()):
            if removed_by > version:
                return message
        return self._messages[position]


def _read_removed(row: Row) -> tuple[int, StoredMessage]:
    """The version at which a message was removed, and the message."""
    columns = read_columns(RemovedRow, row)
    return columns.version, stored_message(columns)


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


def read_of_deltas(
    thread_id: str, after_version: int = 0, until_version: int = LARGEST_TIME
) -> Read:
    """The query of the deltas after a version, up to another one."""
    values = {"after_version": after_version, "until_version": until_version}
    return Read("list_deltas", {"thread_id": thread_id, **values})


def reads_of_steps(thread_id: str) -> tuple[Read, Read]:
    """The queries whose rows `steps_to` puts together."""
    return (
        read_of_deltas(thread_id),
        Read("load_removed_messages", {"thread_id": thread_id}),
    )


def steps_to(head: ThreadHead, deltas: Iterable[Row], removed: Iterable[Row]) -> tuple[Step, ...]:
    """The steps that led to a thread, oldest first, from rows of deltas and removed messages.

    Raises:
        CorruptRecord: a row cannot be read.
    """
    with damage_of(f"thread {head.thread.id!r}"):
        return _steps_back(head, [read_columns(DeltaRow, row) for row in deltas], removed)


def _steps_back(
    head: ThreadHead, deltas: Sequence[DeltaRow], removed: Iterable[Row]
) -> tuple[Step, ...]:
    gone: dict[int, list[StoredMessage]] = defaultdict(list)
    for version, each in map(_read_removed, removed):
        gone[version].append(each)
    steps: list[Step] = []
    count = len(head.thread.messages)
    for row in reversed(deltas):
        if row.version != head.version - len(steps):
            break
        step = stored_step(*read_delta_body(row.body), gone[row.version], count)
        count = step.kept + len(step.removed)
        steps.append(step)
    return tuple(reversed(steps))
