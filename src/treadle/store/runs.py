"""Runs, as a user of a store sees them."""

from treadle.backends.base import Backend
from treadle.core.queries import check_query
from treadle.core.runs import (
    DeleteRun,
    FindActiveRun,
    ListRuns,
    LoadRun,
    RunOrigin,
    RunPage,
    RunRecord,
    RunStatus,
    UpsertRun,
)
from treadle.store.writes import NewWrite, Write


class RunWrites:
    """Writes to runs: awaited on the store, collected in a batch."""

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    def upsert(self, run: RunRecord) -> Write[None]:
        """Insert or replace a run's record as a whole; its times stay as they are.

        Raises:
            InvalidId, InvalidValue: the record cannot be stored; the message says where.
        """
        return self._write(UpsertRun(run=run))

    def delete(self, run_id: str) -> Write[bool]:
        """Delete a run's record. Returns whether it existed."""
        return self._write(DeleteRun(run_id=run_id))


class Runs(RunWrites):
    """Records of agents' executions."""

    def __init__(self, backend: Backend, write: NewWrite) -> None:
        super().__init__(write)
        self._backend = backend

    async def load(self, run_id: str) -> RunRecord | None:
        """Read a run; None if it does not exist."""
        return await self._backend.read(check_query(LoadRun(run_id=run_id), "load"))

    async def list(  # noqa: PLR0913
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        thread_id: str | None = None,
        parent_run_id: str | None = None,
        status: RunStatus | None = None,
        origin: RunOrigin | None = None,
        termination_code: str | None = None,
        created_at_from: int | None = None,
        created_at_to: int | None = None,
        updated_at_from: int | None = None,
        updated_at_to: int | None = None,
    ) -> RunPage:
        """List the runs that match all filters, oldest first.

        `limit` is clamped to 1..200. Times are unix milliseconds, and their bounds are inclusive.
        """
        query = ListRuns(
            offset=offset,
            limit=limit,
            thread_id=thread_id,
            parent_run_id=parent_run_id,
            status=status,
            origin=origin,
            termination_code=termination_code,
            created_at_from=created_at_from,
            created_at_to=created_at_to,
            updated_at_from=updated_at_from,
            updated_at_to=updated_at_to,
        )
        return await self._backend.read(check_query(query, "list"))

    async def find_active(self, thread_id: str) -> RunRecord | None:
        """Return the newest run of a thread that is not done, or None."""
        query = FindActiveRun(thread_id=thread_id)
        return await self._backend.read(check_query(query, "find_active"))
