"""Backends that break the rules of searches for runs and of usage."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.run_commands import CheckRun, CountTokens, EndWait, UpsertRun
from treadle.core.run_queries import CountRuns, SearchRuns
from treadle.core.usage import SumUsage


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a search for runs begins with the newest")
class OldRunsFirst(MemoryBackend):
    """Searches for runs, beginning with the oldest."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchRuns):
            query = replace(query, order="asc")
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "the owner of a run is that of its thread at present")
class FirstOwner(Tables):
    """Remembers the first owner that it sees of each thread."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str | None] = {}

    def find_summaries(self, resource_id: str | None, parent_thread_id: str | None) -> Any:
        for summary in super().find_summaries(None, parent_thread_id):
            owner = self._first.setdefault(summary.id, summary.resource_id)
            if resource_id in (None, owner):
                yield summary


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "runs are counted by status: of an owner")
class CountingAll(MemoryBackend):
    """Counts the runs of all owners."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, CountRuns):
            query = replace(query, resource_id=None)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "usage is exact beyond 64 bits")
class Floating(MemoryBackend):
    """Sums tokens as floats."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, SumUsage):
            return answer
        items = [replace(each, input_tokens=int(float(each.input_tokens))) for each in answer.items]
        return replace(answer, items=tuple(items))


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a wait ends once")
class Repeating(Twisted):
    """Lets a run be answered again and again."""

    def twist(self, command: Any) -> Any:
        run = self.tables.runs.get(command.run_id) if isinstance(command, EndWait) else None
        if run is None or run.status != "done":
            return command
        return UpsertRun(run=replace(run, termination_code=command.termination_code))


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a check refuses the run of another thread")
class Careless(Twisted):
    """Takes every run for one of the thread that is asked about."""

    def twist(self, command: Any) -> Any:
        run = self.tables.runs.get(command.run_id) if isinstance(command, CheckRun) else None
        return command if run is None else replace(command, thread_id=run.thread_id)


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "tokens are only raised")
class Lowering(Twisted):
    """Takes the counts of a run for those of the last call."""

    def twist(self, command: Any) -> Any:
        run = self.tables.runs.get(command.run_id) if isinstance(command, CountTokens) else None
        if run is None:
            return command
        counted = replace(
            run, input_tokens=command.input_tokens, output_tokens=command.output_tokens
        )
        return UpsertRun(run=counted)


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a count ends a run that runs and no other")
class Ending(Twisted):
    """Ends a run that waits, too."""

    def twist(self, command: Any) -> Any:
        run = self.tables.runs.get(command.run_id) if isinstance(command, CountTokens) else None
        if run is None or run.status != "waiting" or not command.ends_run:
            return command
        return UpsertRun(run=replace(run, status="done"))
