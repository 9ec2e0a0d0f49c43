"""The runs of a thread; and the active ones that commands close, by entry and by thread."""

from collections.abc import Collection

from treadle.backends.model.groups import Groups
from treadle.core.runs import RunRecord, is_active


class RunIndex:
    """The ids of runs, by what queries and commands ask for.

    Its owner calls `replace` for every change of a run.
    """

    def __init__(self) -> None:
        self._in_threads = Groups()
        self._of_entries = Groups()
        self._waiting_in = Groups()

    def in_thread(self, thread_id: str) -> Collection[str]:
        """The ids of the runs of a thread, in order."""
        return sorted(self._in_threads.of(thread_id))

    def of(self, entry_id: str) -> Collection[str]:
        """The ids of the active runs that name an entry, in order."""
        return sorted(self._of_entries.of(entry_id))

    def waiting_in(self, thread_id: str) -> Collection[str]:
        """The ids of the runs of a thread that name an entry and wait, in order."""
        return sorted(self._waiting_in.of(thread_id))

    def replace(self, before: RunRecord | None, after: RunRecord | None) -> None:
        """Note that a run was added, changed or removed."""
        if before is not None:
            self._in_threads.discard(before.thread_id, before.run_id)
            if before.source_mailbox_entry_id is not None:
                self._of_entries.discard(before.source_mailbox_entry_id, before.run_id)
                self._waiting_in.discard(before.thread_id, before.run_id)
        if after is None:
            return
        self._in_threads.add(after.thread_id, after.run_id)
        if after.source_mailbox_entry_id is not None and is_active(after):
            self._of_entries.add(after.source_mailbox_entry_id, after.run_id)
            if after.status == "waiting":
                self._waiting_in.add(after.thread_id, after.run_id)
