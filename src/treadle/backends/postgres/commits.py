"""Commits: in groups, and each alone where others are in the way."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from treadle.backends.group_thread import Failure
from treadle.backends.postgres.database import PATIENCE_SECONDS, Database
from treadle.backends.postgres.writer import Blocked, Submit, Writer
from treadle.backends.sql.commit import Outcome, commit
from treadle.core.commands import Commands, Receipt
from treadle.errors import StoreUnavailable

_GROUP_PATIENCE_MS = 100
"""How long a group waits for a row that another transaction keeps; its batches are then parted."""
_PARTED_PATIENCE_MS = 5
"""How long one of a parted group waits, before it does so on a thread of its own."""


class Commits:
    """Commits batches; those that have to wait for others are handed to `submit`."""

    def __init__(self, database: Database, clock: Callable[[], int | None], submit: Submit) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit
        self._together = Writer(database, _GROUP_PATIENCE_MS)
        self._parted = Writer(database, _PARTED_PATIENCE_MS)

    def carry_out(self, batches: list[Commands]) -> list[Any]:
        """What comes of each batch: in one transaction, or each alone if others are in the way."""
        try:
            return [_told(outcome) for outcome in self._write(self._together, batches)]
        except Blocked:
            if len(batches) > 1:
                return [self._part(batch) for batch in batches]
            return [self._submit(self._wait, batch) for batch in batches]
        except Exception as error:  # handed to all who asked: the thread must go on
            return [Failure(error)] * len(batches)

    def _part(self, batch: Commands) -> Any:
        """What comes of a batch that nobody is in the way of; another waits on its own.

        So those that came with it do not have to wait with it.
        """
        try:
            (outcome,) = self._write(self._parted, (batch,))
        except Blocked:
            return self._submit(self._wait, batch)
        except Exception as error:  # handed to who asked: the thread must go on
            return Failure(error)
        return _told(outcome)

    def _wait(self, batch: Commands) -> Receipt:
        """What comes of a batch that has to wait for others.

        Raises:
            StoreUnavailable: they take too long.
        """
        writer = Writer(self._database, PATIENCE_SECONDS * 1000)
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                (outcome,) = self._write(writer, (batch,))
            except Blocked as blocked:
                if time.monotonic() > until:
                    reason = "another transaction keeps what this one changes"
                    raise StoreUnavailable(str(self._database.location), reason) from blocked
                continue
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    def _write(self, writer: Writer, batches: Sequence[Commands]) -> list[Outcome]:
        return writer.write(lambda: commit(batches, self._clock()))


def _told(outcome: Outcome) -> Receipt | Failure:
    return Failure(outcome) if isinstance(outcome, Exception) else outcome
