"""Backends that break the rules by which runs end with their entries."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import Ack
from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import MailboxEntry
from treadle.core.run_closing import close_runs
from treadle.core.run_commands import EndWait
from treadle.core.runs import RunRecord, is_active


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "active runs are closed with their entry: cancel")
class Lingering(Tables):
    """Leaves waiting runs active."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        return [run for run in super().find_runs_of(entry) if run.status != "waiting"]


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "active runs are closed with their entry: dead letter")
class Secretive(Tables):
    """Does not say in the run's record how its entry ended."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, RunRecord) and row.termination_code == "dead_letter":
            row = replace(row, termination_code="cancelled")
        super().put(table, key, row)


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "runs that are done and those of other entries stay")
class Rewriting(Tables):
    """Closes runs a second time."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        runs = self.runs.values()
        return [each for each in runs if each.source_mailbox_entry_id == entry.entry_id]


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "runs that are done and those of other entries stay")
class Levelling(Tables):
    """Closes all active runs of the thread."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        threads = {run.thread_id for run in super().find_runs_of(entry)}
        runs = [run for run in self.runs.values() if run.thread_id in threads]
        return filter(is_active, runs or self.runs.values())


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "runs go on when their entry is accepted or goes on: ack")
class Tidying(MemoryBackend):
    """Closes the runs of an entry that is accepted, too."""

    async def commit(self, batch: Commands) -> Receipt:
        receipt = await super().commit(batch)
        for command in batch:
            if isinstance(command, Ack):
                entry = self.tables.entries[command.entry_id]
                close_runs(self.tables, entry, "accepted", "", self._clock())
        return receipt


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "runs and entries of the same batch are closed: cancel")
class Hasty(MemoryBackend):
    """Looks for the runs before the batch, and misses those that it begins."""

    async def commit(self, batch: Commands) -> Receipt:
        before = set(self.tables.runs)
        receipt = await super().commit(batch)
        for key, run in list(self.tables.runs.items()):
            if key not in before and run.termination_code == "cancelled":
                self.tables.runs[key] = replace(run, status="running")
        return receipt


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "an interrupt closes the runs that wait in its thread")
class Patient(Tables):
    """Leaves the runs that wait, if their entries have ended before."""

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        return ()


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "an interrupt leaves the other runs of its thread")
class Sweeping(Tables):
    """Closes all active runs of the thread of an interrupted mailbox."""

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        runs = [run for run in self.runs.values() if run.thread_id == thread_id]
        return filter(is_active, runs)


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "an interrupt leaves the other runs of its thread")
class Nosy(Tables):
    """Closes runs that no entry has begun, too."""

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        runs = [run for run in self.runs.values() if run.thread_id == thread_id]
        return [run for run in runs if run.status == "waiting"]


@breaks(
    Guarantee.RUNS_END_WITH_ENTRIES,
    "an interrupt closes runs that wait for an entry that is gone",
)
class Forgetting(Tables):
    """Looks for waiting runs by the entries that are still there."""

    def find_waiting_runs(self, thread_id: str) -> Iterable[RunRecord]:
        runs = super().find_waiting_runs(thread_id)
        return [run for run in runs if run.source_mailbox_entry_id in self.entries]


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "an ack closes a run that was answered and did not go on")
class Waiting(Tables):
    """Leaves a run that was answered running when its entry is accepted."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        return [run for run in super().find_runs_of(entry) if not run.has_answer]


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "a run that goes on after its answer is left")
class Impatient(Tables):
    """Takes every run for one that has its answer and does not go on."""

    def find_runs_of(self, entry: MailboxEntry) -> Iterable[RunRecord]:
        runs = super().find_runs_of(entry)
        return [replace(run, has_answer=run.answered_by is not None) for run in runs]


@breaks(Guarantee.RUNS_END_WITH_ENTRIES, "a run does not go on with an entry that has ended: ack")
class Resurrecting(Twisted):
    """Lets a run go on with an entry that has ended."""

    def twist(self, command: Any) -> Any:
        return replace(command, entry_id=None) if isinstance(command, EndWait) else command
