"""Runs, as a user of a store sees them."""

from treadle.backends.base import Backend
from treadle.core.codec import checked
from treadle.core.ids import check_id, check_optional_id
from treadle.core.runs import RunOrigin, RunPage, RunQuery, RunRecord, RunStatus
from treadle.store.batch import BatchRuns, Write
from treadle.store.writer import Writer


class Runs:
    """Records of agents' executions."""

    def __init__(self, backend: Backend, write: Writer) -> None:
        self._backend = backend
        self._write = write
        self._writes = BatchRuns(Write)

    async def load(self, run_id: str) -> RunRecord | None:
        """Read a run, or None if there is none."""
        return await self._backend.load_run(check_id("run", run_id))

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
        """List runs for which all holds that is given, oldest first.

        `limit` is clamped to 1..200. Times are unix milliseconds, and their bounds are inclusive.
        """
        query = RunQuery(
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
        check_optional_id("thread", thread_id)
        check_optional_id("run", parent_run_id)
        return await self._backend.list_runs(checked(query, "list"))

    async def active(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        return await self._backend.find_active_run(check_id("thread", thread_id))

    async def upsert(self, run: RunRecord) -> None:
        """Put a run's record as a whole, new or in place of the old, its times as they are.

        Raises:
            InvalidId, InvalidValue: the record cannot be stored; the message names the place.
        """
        await self._write(self._writes.upsert(run))

    async def delete(self, run_id: str) -> bool:
        """Remove a run's record. Returns whether it was there."""
        return await self._write(self._writes.delete(run_id))
