"""The active runs of each entry, for those who end an entry and close its runs."""

from collections.abc import Collection

from treadle.core.runs import RunRecord, is_active


class RunsOfEntries:
    """The ids of active runs, by the ids of the entries that they work on.

    Its owner calls `replace` for every change of a run.
    """

    def __init__(self) -> None:
        self._ids: dict[str, set[str]] = {}

    def of(self, entry_id: str) -> Collection[str]:
        """The ids of the active runs of an entry, in order."""
        return sorted(self._ids.get(entry_id, ()))

    def replace(self, before: RunRecord | None, after: RunRecord | None) -> None:
        """Note that a run was added, changed or removed."""
        if before is not None and before.source_mailbox_entry_id is not None:
            ids = self._ids.get(before.source_mailbox_entry_id, set())
            ids.discard(before.run_id)
            if not ids:
                self._ids.pop(before.source_mailbox_entry_id, None)
        if after is not None and after.source_mailbox_entry_id is not None and is_active(after):
            self._ids.setdefault(after.source_mailbox_entry_id, set()).add(after.run_id)
