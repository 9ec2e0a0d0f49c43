"""The active runs that commands close: by their entries, and by the threads in which they wait."""

from collections.abc import Collection

from treadle.core.runs import RunRecord, is_active


class ActiveRuns:
    """The ids of the active runs that name an entry, by that entry and by their threads.

    Its owner calls `replace` for every change of a run.
    """

    def __init__(self) -> None:
        self._of_entries: dict[str, set[str]] = {}
        self._waiting_in: dict[str, set[str]] = {}

    def of(self, entry_id: str) -> Collection[str]:
        """The ids of the active runs of an entry, in order."""
        return sorted(self._of_entries.get(entry_id, ()))

    def waiting_in(self, thread_id: str) -> Collection[str]:
        """The ids of the runs of a thread that wait, in order."""
        return sorted(self._waiting_in.get(thread_id, ()))

    def replace(self, before: RunRecord | None, after: RunRecord | None) -> None:
        """Note that a run was added, changed or removed."""
        if before is not None and before.source_mailbox_entry_id is not None:
            _discard(self._of_entries, before.source_mailbox_entry_id, before.run_id)
            _discard(self._waiting_in, before.thread_id, before.run_id)
        if after is not None and after.source_mailbox_entry_id is not None and is_active(after):
            self._of_entries.setdefault(after.source_mailbox_entry_id, set()).add(after.run_id)
            if after.status == "waiting":
                self._waiting_in.setdefault(after.thread_id, set()).add(after.run_id)


def _discard(runs: dict[str, set[str]], key: str, run_id: str) -> None:
    ids = runs.get(key)
    if ids is None:
        return
    ids.discard(run_id)
    if not ids:
        del runs[key]
