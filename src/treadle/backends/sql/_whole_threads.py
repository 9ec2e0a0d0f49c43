"""Threads as a whole: their rows, put together."""

from collections.abc import Sequence

import msgspec

from treadle.backends.sql._past_messages import steps_to
from treadle.backends.sql.program import Read, Row
from treadle.backends.sql.rows import damage_of
from treadle.backends.sql.thread_rows import ThreadRow, read_columns, read_message, read_thread
from treadle.core.message_times import trimmed
from treadle.core.threads import Step, StoredThread, ThreadHead, appended, history_since
from treadle.errors import NotFound

_PARTS = ("load_thread", "load_messages", "load_patches")
_STEPS = ("list_deltas", "load_removed_messages")


def reads_of_whole(thread_id: str) -> tuple[Read, ...]:
    """The queries whose rows `whole_thread` puts together."""
    return tuple(Read(name, {"thread_id": thread_id}) for name in _PARTS)


def whole_thread(thread_id: str, parts: Sequence[Sequence[Row]]) -> ThreadHead | None:
    """The thread of the rows of `reads_of_whole`; None if it does not exist.

    Raises:
        CorruptRecord: a part cannot be read.
    """
    found, messages, patches = parts
    if not found:
        return None
    with damage_of(f"thread {thread_id!r}"):
        row = read_columns(ThreadRow, found[0])
        stored = [read_message(message) for message in messages]
        thread = read_thread(
            row, (each.message for each in stored), (patch for (patch,) in patches)
        )
        if thread.id != thread_id:
            raise ValueError(f"its body is that of thread {thread.id!r}")
        times = trimmed([each.committed_at for each in stored])
        return ThreadHead(thread=thread, version=row.version, message_times=times)


class WholeThreads:
    """The rows of threads that commands need as a whole; they are read when they are asked for."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[Row]] = {}

    def take(self, read: Read, rows: list[Row]) -> bool:
        """Take in the answer of a query; return False if it is not one of these."""
        if read.name not in _PARTS + _STEPS:
            return False
        self._rows[read.values["thread_id"], read.name] = rows
        return True

    def grown(self, stored: StoredThread) -> ThreadHead:
        """Return a thread that was loaded, after the steps that lead to its row.

        Raises:
            CorruptRecord: a part cannot be read.
            NotFound: it does not exist.
        """
        labels = stored.head.thread
        head = self._loaded(labels.id)
        for step in history_since(stored.history, head.version, stored.head.version) or ():
            changes, now = step.delta.changes, step.delta.committed_at
            head = appended(head, changes, now, step.added)
        thread = msgspec.structs.replace(
            labels,
            messages=head.thread.messages,
            state=head.thread.state,
            patches=head.thread.patches,
        )
        return msgspec.structs.replace(head, thread=thread)

    def steps(self, thread_id: str) -> tuple[Step, ...]:
        """Return the steps that led to a thread as it was loaded.

        Raises:
            CorruptRecord: a part cannot be read.
            NotFound: it does not exist.
        """
        deltas, removed = (self._rows[thread_id, name] for name in _STEPS)
        return steps_to(self._loaded(thread_id), deltas, removed)

    def _loaded(self, thread_id: str) -> ThreadHead:
        head = whole_thread(thread_id, [self._rows[thread_id, name] for name in _PARTS])
        if head is None:
            raise NotFound("thread", thread_id)
        return head
