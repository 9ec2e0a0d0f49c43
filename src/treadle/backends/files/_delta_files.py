"""The recent appends of each thread, in a file of lines beside the documents, for `list_deltas`.

A crash may lose such a file or a part of it: it is neither in the journal nor synced. So its lines
count only as far as they lead, version by version, to the thread as it is.
"""

import logging
from collections.abc import Iterable

import msgspec

from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._entries import Append, Entry, Put, Remove
from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.core.codec import decode
from treadle.core.threads import ThreadDelta, ThreadHead
from treadle.errors import CorruptRecord

_log = logging.getLogger(__name__)


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
        wanted = head.version
        for line in reversed(lines):
            if wanted == after_version:
                break
            try:
                delta = decode(ThreadDelta, line)
            except CorruptRecord:
                return None
            if delta.version != wanted:
                return None
            found.append(delta)
            wanted -= 1
        # Another program may have written the thread at the same version, but not at the same time.
        if wanted != after_version or found[0].committed_at != head.thread.metadata.updated_at:
            return None
        return tuple(reversed(found))

    def _append(self, key: str, deltas: tuple[msgspec.Raw, ...]) -> None:
        if deltas:
            # Each starts on a new line, because a crash may have left half of one at the end.
            self._disk.append(self._documents.delta_path(key), b"\n".join((b"", *deltas)))
