"""Broken backends that pass every named check; only random histories find them.

Each takes a coincidence that nobody has thought of; once somebody has, it can be a named check.
"""

from collections.abc import Collection

from tests.conformance.broken_backends.broken_backend import on_tables
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import EntryStatus
from treadle.core.run_commands import DeleteRun
from treadle.testing.subject import Subject


class DeletesLast(MemoryBackend):
    """Carries out the deletions of runs at the end of a batch."""

    async def commit(self, batch: Commands) -> Receipt:
        order = sorted(range(len(batch)), key=lambda index: isinstance(batch[index], DeleteRun))
        receipt = await super().commit(tuple(batch[index] for index in order))
        by_index = dict(zip(order, receipt.results, strict=True))
        return Receipt(results=tuple(by_index[index] for index in range(len(batch))))


class PurgesFirst(Tables):
    """Does not purge what has ended in the batch of the purge."""

    def purge(self, ended_before: int, statuses: Collection[EntryStatus]) -> int:
        touched = {key for table, key in self._before if table == "entries"}
        hidden = {key: self.entries.pop(key) for key in touched & self.entries.keys()}
        try:
            return super().purge(ended_before, statuses)
        finally:
            self.entries.update(hidden)


ONLY_BY_HISTORIES: dict[str, Subject] = {
    "DeletesLast": Subject(make=lambda folder, clock: DeletesLast(clock)),
    "PurgesFirst": Subject(make=on_tables(PurgesFirst)),
}
"""Backends that pass every named check."""
