"""The recent changes of each thread, in a file of lines beside the JSON files, for `list_deltas`.

What the JSON file has is not repeated: a line names the messages of a delta by their positions, and
a truncation keeps those that it removes. An update of a thread's labels has a line, too: it says
when the thread was updated since.

A crash may lose such a file, a part of it, or its removal with the thread: it is neither in the
journal nor synced. So each line says when the thread was changed before it, and lines count only as
far as they lead, change by change, to the thread as it is.
"""

import logging
import os
from collections.abc import Container, Iterable, Iterator, Sequence

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._entries import was_updated
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.steps import positions_of, stored_step
from treadle.backends.model.tables import Change, steps_of
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

_log = logging.getLogger(__name__)
_NO_CHANGES = ThreadChangeSet()
_NOTHING = msgspec.Raw(encode(_NO_CHANGES))
_UNFIT = (CorruptRecord, LookupError, RecursionError, ValueError)
"""The errors of lines that are damaged, or of another thread."""


class _Line(msgspec.Struct, frozen=True, array_like=True):
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


class DeltaFiles:
    """One file for each thread, one line for each change, the newest last."""

    def __init__(self, disk: Disk, files: JsonFiles) -> None:
        self._disk = disk
        self._files = files

    def write(self, changes: Iterable[Change]) -> None:
        """Write the deltas of committed changes, as far as that is possible."""
        for change in changes:
            if change.table != "threads":
                continue
            try:
                self._write(change)
            except OSError:  # nobody depends on them, and the commit has succeeded
                _log.warning("the deltas of thread %r are not kept", change.key, exc_info=True)

    def _write(self, change: Change) -> None:
        before, after, steps = change.before, change.after, steps_of(change)
        path = self._files.delta_path(change.key)
        lines: list[bytes] = []
        if steps is None or not isinstance(before, StoredThread):  # created, saved or deleted
            self._disk.remove(path)
            if isinstance(after, StoredThread):
                lines = _lines_since_whole(after)
        elif isinstance(after, StoredThread):
            lines = _lines_of(before, after, steps)
        if lines:
            # Each starts on a new line, because a crash may have left half of one at the end.
            self._disk.append(path, b"\n".join((b"", *lines)))

    def remove_others(self, thread_ids: Container[str]) -> None:
        """Remove the files of other threads, which a crash may leave when a thread is deleted."""
        for path in self._files.delta_paths():
            thread_id = os.path.basename(path).removesuffix(".jsonl")
            if thread_id not in thread_ids:
                self._disk.remove(path)

    def since(
        self,
        head: ThreadHead,
        messages: Sequence[Message],
        after_version: int,
        until_version: int,
    ) -> tuple[ThreadDelta, ...] | None:
        """Return the deltas between two versions; None if not all are known from there to `head`.

        Args:
            head: the thread; it need not have its messages.
            messages: the messages of the thread.
            after_version: the deltas after this version.
            until_version: the deltas up to this one; it may be beyond the present version.
        """
        if not 0 <= after_version <= head.version:
            return None
        found: list[ThreadDelta] = []
        past = _PastMessages(messages)
        try:
            lines = self._lines(head)
            for version in range(head.version, after_version, -1):
                if version > until_version:
                    past.skip(next(lines))
                else:
                    found.append(past.step_back(next(lines)))
        except (StopIteration, *_UNFIT):
            return None
        return tuple(reversed(found))

    def steps(self, head: ThreadHead, count: int) -> tuple[Step, ...]:
        """Return the steps that led to `head`, oldest first, as far back as they are known.

        It need not have its messages, of which there are `count`.
        """
        found: list[Step] = []
        try:
            for line in self._lines(head):
                found.append(step := _read_step(line, count))
                count = step.kept + len(step.removed)
        except _UNFIT:
            _log.debug("a line of the deltas of thread %r does not fit", head.thread.id)
        return tuple(reversed(found))

    def _lines(self, head: ThreadHead) -> Iterator[_Line]:
        """Yield the lines of the deltas that led to `head`, the newest first.

        Raises:
            ValueError: one cannot be read.
        """
        try:
            lines = self._disk.read(self._files.delta_path(head.thread.id)).split(b"\n")
        except (FileNotFoundError, NotPlainFile):
            return
        wanted, changed_at = head.version, head.thread.metadata.updated_at
        for data in reversed(lines):
            line = msgspec.json.decode(data, type=_Line)
            # At another time, it is a change by another program or of a deleted thread.
            if line.version != wanted or line.time != changed_at:
                return
            changed_at = line.since
            if line.messages is not None:
                wanted -= 1
                yield line


def _read_step(line: _Line, count: int) -> Step:
    """Return the step in a line that led to a thread with so many messages.

    Raises:
        CorruptRecord, LookupError, ValueError: it does not fit.
    """
    changes = decode(ThreadChangeSet, bytes(line.changes))
    stored = [_position_or_message(each) for each in line.messages or ()]
    removed = [
        StoredMessage(cursor=cursor, message=decode(Message, bytes(message)), committed_at=time)
        for cursor, (time, message) in enumerate(line.removed, start=changes.truncated_to or 0)
    ]
    return stored_step(changes, stored, removed, count)


def _position_or_message(stored: msgspec.Raw) -> int | Message:
    if bytes(stored).startswith(b"{"):
        return decode(Message, bytes(stored))
    return msgspec.json.decode(stored, type=Count)


class _PastMessages:
    """The messages of a thread, which goes back in time, delta by delta."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._removed: dict[int, Message] = {}
        """Those that were at a position before a truncation removed them."""

    def step_back(self, line: _Line) -> ThreadDelta:
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
        self._restore(line, changes)
        return delta

    def skip(self, line: _Line) -> None:
        """Go back to the thread before the delta in a line.

        Raises:
            CorruptRecord, ValueError: it does not fit.
        """
        if line.removed:  # most have removed nothing, and need not be decoded
            self._restore(line, decode(ThreadChangeSet, bytes(line.changes)))

    def _restore(self, line: _Line, changes: ThreadChangeSet) -> None:
        for position, (_, message) in enumerate(line.removed, start=changes.truncated_to or 0):
            self._removed[position] = decode(Message, bytes(message))

    def _message(self, stored: msgspec.Raw) -> Message:
        position = _position_or_message(stored)
        if isinstance(position, Message):
            return position
        removed = self._removed.get(position)
        return self._messages[position] if removed is None else removed


def _lines_of(before: StoredThread, after: StoredThread, steps: Sequence[History]) -> list[bytes]:
    """Return the lines of the steps that led from one thread to the next."""
    changed_at = before.head.thread.metadata.updated_at
    lines: list[bytes] = []
    for step in steps:
        lines.append(_line_of(step, changed_at))
        changed_at = step.delta.committed_at
    if was_updated(before, after, steps):
        lines.append(_update_line(after.head, changed_at))
    return lines


def _lines_since_whole(after: StoredThread) -> list[bytes]:
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
