"""Threads without their messages: checked in a batch."""

from treadle.core.commands import Command
from treadle.core.ids import ThreadId
from treadle.core.limits import Version
from treadle.core.read_set import ReadSet
from treadle.core.threads import Committed, ThreadRows, require_thread


class CheckThread(Command[Committed], frozen=True, kw_only=True):
    """Lets its batch commit only if a thread is at version `expected`. Result: `Committed`.

    Fails with `NotFound` or `VersionConflict`.
    """

    thread_id: ThreadId
    expected: Version

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Compare the versions."""
        require_thread(rows, self.thread_id, self.expected)
        return Committed(version=self.expected)
