"""The recent appends of each thread, in a file of lines beside the documents, for `list_deltas`.

An update of a thread's labels has a line, too: it says when the thread was updated since.

A crash may lose such a file or a part of it: it is neither in the journal nor synced. So its lines
count only as far as they lead, version by version, to the thread as it is.
"""

import logging
from collections.abc import Iterable

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._entries import Append, Entry, Put, Remove, Update
from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.core.codec import decode
from treadle.core.limits import Time, Version
from treadle.core.threads import ThreadDelta, ThreadHead, ThreadMetadata
from treadle.errors import CorruptRecord

_log = logging.getLogger(__name__)


class _Update(msgspec.Struct, frozen=True):
    """The line of an update."""

    version: Version
    updated_at: Time | None


class DeltaFiles:
    """One file for each thread, one line for each delta, the newest last."""

    def __init__(self, disk: Disk, documents: Documents) -> None:
        self._disk = disk
        self._documents = documents

    def write(self, entries: Iterable[Entry]) -> None:
        """Write the deltas that committed entries contain, as far as that is possible."""
        for entry in entries:
            try:
                self._write(entry)
            except OSError:  # nobody depends on them, and the commit has succeeded
                _log.warning("the deltas of thread %r are not kept", entry.key, exc_info=True)

    def _write(self, entry: Entry) -> None:
        match entry:
            case Append(key=key, deltas=deltas):
                self._append(key, deltas)
            case Update(key=key, labels=labels):
                updated_at = decode(ThreadMetadata, bytes(labels.metadata)).updated_at
                line = _Update(labels.version, updated_at)
                self._append(key, (msgspec.Raw(msgspec.json.encode(line)),))
            case Put(table="threads", key=key, deltas=deltas):
                self._disk.remove(self._documents.delta_path(key))
                self._append(key, deltas)
            case Remove(table="threads", key=key):
                self._disk.remove(self._documents.delta_path(key))
            case _:
                pass

    def since(self, head: ThreadHead, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """Return the deltas from `after_version` to `head`, or None if they are not all known."""
        if not 0 <= after_version <= head.version:
            return None
        if after_version == head.version:
            return ()
        try:
            lines = self._disk.read(self._documents.delta_path(head.thread.id)).split(b"\n")
        except (FileNotFoundError, NotPlainFile):
            return None
        found: list[ThreadDelta] = []
        wanted, updated_at = head.version, head.thread.metadata.updated_at
        for number, line in enumerate(reversed(lines)):
            if wanted == after_version:
                break
            step = _read(line)
            if step is None or step.version != wanted:
                return None
            # Another program may have written the thread at the same version, not at the same time.
            if number == 0 and _time(step) != updated_at:
                return None
            if isinstance(step, ThreadDelta):
                found.append(step)
                wanted -= 1
        return tuple(reversed(found)) if wanted == after_version else None

    def _append(self, key: str, deltas: tuple[msgspec.Raw, ...]) -> None:
        if deltas:
            # Each starts on a new line, because a crash may have left half of one at the end.
            self._disk.append(self._documents.delta_path(key), b"\n".join((b"", *deltas)))


def _read(line: bytes) -> ThreadDelta | _Update | None:
    """Return what a line says, or None if it is damaged."""
    try:
        return decode(ThreadDelta, line)
    except CorruptRecord:
        pass
    try:
        return msgspec.json.decode(line, type=_Update)
    except (ValueError, RecursionError):
        return None


def _time(step: ThreadDelta | _Update) -> int | None:
    return step.committed_at if isinstance(step, ThreadDelta) else step.updated_at
