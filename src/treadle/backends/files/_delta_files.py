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
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._delta_index import DeltaIndex, ReadParts
from treadle.backends.files._delta_lines import (
    UNFIT,
    Line,
    PastMessages,
    check_removed,
    lines_of,
    lines_since_whole,
    read_step,
)
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Change, steps_of
from treadle.core.limits import PAGE
from treadle.core.messages import Message
from treadle.core.threads import Step, StoredThread, ThreadDelta, ThreadHead

_log = logging.getLogger(__name__)
_FIRST_BYTES = 2**16
"""How much of the end of a file is read first; most reads want the last lines only."""
_INDEXED = 500_000
"""How many lines the indexes have together, about 24 bytes each; that of the last reader stays."""


class DeltaFiles:
    """One file for each thread, one line for each change, the newest last."""

    def __init__(self, disk: Disk, files: JsonFiles) -> None:
        self._disk = disk
        self._files = files
        self._indexes: OrderedDict[str, DeltaIndex] = OrderedDict()
        """Of the files that somebody reads from far back. The least recently used first."""

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
            self._indexes.pop(change.key, None)
            if isinstance(after, StoredThread):
                lines = lines_since_whole(after)
        elif isinstance(after, StoredThread):
            lines = lines_of(before, after, steps)
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
        until_version = min(until_version, head.version)
        is_far = head.version - until_version > PAGE or head.thread.id in self._indexes
        if is_far and until_version - after_version <= PAGE:
            found = self._indexed(head, messages, after_version, until_version)
            if found is not None:
                return found
        past, deltas = PastMessages(messages), list[ThreadDelta]()
        try:
            lines = self._lines(head)
            for version in range(head.version, after_version, -1):
                line = next(lines)
                check_removed(line)
                if version > until_version:
                    past.skip(line)
                else:
                    deltas.append(past.step_back(line))
        except (StopIteration, *UNFIT):
            return None
        return tuple(reversed(deltas))

    def _indexed(
        self,
        head: ThreadHead,
        messages: Sequence[Message],
        after_version: int,
        until_version: int,
    ) -> tuple[ThreadDelta, ...] | None:
        """Return the deltas between two versions by an index; None if that does not know them."""
        read = partial(self._disk.read_parts, self._files.delta_path(head.thread.id))
        try:
            lines = self._index(head, read).lines(read, after_version, until_version)
            past, deltas = PastMessages(messages), list[ThreadDelta]()
            for line in lines:
                if line.version > until_version:
                    past.skip(line)
                else:
                    deltas.append(past.step_back(line))
        except (FileNotFoundError, NotPlainFile, *UNFIT):
            self._indexes.pop(head.thread.id, None)
            return None
        return tuple(reversed(deltas))

    def _index(self, head: ThreadHead, read: ReadParts) -> DeltaIndex:
        """Return the index of a thread's file, as the file is now.

        Raises:
            LookupError: the file does not lead to the thread.
        """
        key = head.thread.id
        state = head.version, head.thread.metadata.updated_at
        index = self._indexes.pop(key, None)
        if index is None or not (index.read_on(read) and index.leads_to(*state)):
            index = DeltaIndex()  # another process may have begun a new file
            index.read_on(read)
        if not index.leads_to(*state):
            raise LookupError(key)
        self._indexes[key] = index
        while len(self._indexes) > 1 and sum(map(len, self._indexes.values())) > _INDEXED:
            self._indexes.popitem(last=False)
        return index

    def steps(self, head: ThreadHead, count: int) -> tuple[Step, ...]:
        """Return the steps that led to `head`, oldest first, as far back as they are known.

        It need not have its messages, of which there are `count`.
        """
        found: list[Step] = []
        try:
            for line in self._lines(head):
                found.append(step := read_step(line, count))
                count = step.kept + len(step.removed)
        except UNFIT:
            _log.debug("a line of the deltas of thread %r does not fit", head.thread.id)
        return tuple(reversed(found))

    def _lines(self, head: ThreadHead) -> Iterator[Line]:
        """Yield the lines of the deltas that led to `head`, the newest first.

        Raises:
            ValueError: one cannot be read.
        """
        wanted, changed_at = head.version, head.thread.metadata.updated_at
        for data in self._data(head.thread.id):
            line = msgspec.json.decode(data, type=Line)
            # At another time, it is a change by another program or of a deleted thread.
            if line.version != wanted or line.time != changed_at:
                return
            changed_at = line.since
            if line.messages is not None:
                wanted -= 1
                yield line

    def _data(self, thread_id: str) -> Iterator[bytes]:
        """Yield the lines of a file, the last one first; only what is asked for is read."""
        path, size, seen = self._files.delta_path(thread_id), _FIRST_BYTES, 0
        while True:
            try:
                data, start = self._disk.read_end(path, size)
            except (FileNotFoundError, NotPlainFile):
                return
            lines = data.split(b"\n")
            first = 1 if start else 0  # the first one may be half a line
            yield from reversed(lines[first : len(lines) - seen])
            if not start:
                return
            size, seen = 4 * size, len(lines) - first
