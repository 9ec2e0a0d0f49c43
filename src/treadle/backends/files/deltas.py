"""What was appended to each thread, kept beside it for those who follow along.

The file may be lost or incomplete: it is neither in the journal nor synced. So what it says is
taken only as far as it leads, version by version, to the thread as it stands.
"""

from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.core.codec import decode, encode_compact
from treadle.core.threads import ThreadDelta, ThreadHead
from treadle.errors import CorruptRecord


class Deltas:
    """One file of lines for each thread, the newest last."""

    def __init__(self, disk: Disk, documents: Documents) -> None:
        self._disk = disk
        self._documents = documents

    def append(self, thread_id: str, deltas: tuple[ThreadDelta, ...]) -> None:
        """Add lines; each starts on a new one, whatever a crash has left before it."""
        lines = b"".join(b"\n" + encode_compact(delta) for delta in deltas)
        self._disk.append(self._documents.delta_path(thread_id), lines)

    def clear(self, thread_id: str) -> None:
        """The thread starts anew."""
        self._disk.remove(self._documents.delta_path(thread_id))

    def since(self, head: ThreadHead, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """The deltas that lead from `after_version` to `head`; None if they are not known."""
        if not 0 <= after_version <= head.version:
            return None
        if after_version == head.version:
            return ()
        try:
            lines = self._disk.read(self._documents.delta_path(head.thread.id)).split(b"\n")
        except FileNotFoundError:
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
        if wanted != after_version or found[0].committed_at != head.thread.metadata.updated_at:
            return None
        return tuple(reversed(found))
