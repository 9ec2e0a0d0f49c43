"""Sessions that are kept when a store closes its connection, for the next store.

A new session reads the catalog before its first statements, and parses and plans each of them. That
takes the server longer than most checks. A kept session has prepared statements, as if its store
had been open for a time; otherwise it is like a new one, because all else that was left has ended.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Self, TypeAlias

from psycopg import pq
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn

from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import Connection
from treadle.backends.sql.program import Row
from treadle.testing.subject import Step

_Key: TypeAlias = tuple[int, tuple[tuple[str, Any], ...]]

_Kept: TypeAlias = tuple[PGconn, dict[bytes, bytes]]
"""A session that nobody uses, and the names of its prepared statements, by text."""

_kept: defaultdict[_Key, list[_Kept]] = defaultdict(list)
"""The sessions that nobody uses, by the process and what it connected with."""

_END_ALL = (
    b"CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *;"
    b" SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP"
)
"""What `DISCARD ALL` does, but statements stay prepared."""
_MOST_KEPT = 150
"""Of prepared statements. With more, a session has met several schemas, and soon prepares none."""


class KeptSession(Connection):
    """A connection that takes a kept session if there is one, and leaves it when it is closed."""

    was_new: bool
    """Whether the server has begun the session for this connection."""
    _key: _Key

    @classmethod
    def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        **options: Any,
    ) -> Self:
        """Connect, or take a session that was kept."""
        key = os.getpid(), (("conninfo", conninfo), *sorted(options.items()))
        settings: dict[str, Any] = {"prepare_threshold": prepare_threshold}
        kept = _take(key)
        if kept is not None:
            session, names = kept
            connection = cls(session)
            connection.autocommit = autocommit
            connection.prepare_threshold = prepare_threshold
            connection._exchange._names = names
        else:
            connection = super().connect(conninfo, autocommit=autocommit, **settings, **options)
        connection._key = key
        connection.was_new = kept is None
        return connection

    def close(self) -> None:
        """Keep the session, unless it is in the middle of something."""
        if self.closed or self._key[0] != os.getpid() or not _is_as_new(self.pgconn):
            super().close()
            return
        session, self.pgconn = self.pgconn, _closed()
        names = self._exchange._names
        if len(names) > _MOST_KEPT:
            session.exec_(b"DEALLOCATE ALL")
            names = {}
        _kept[self._key].append((session, names))


def stepping(step: Step) -> type[KeptSession]:
    """A kept session that calls `step` before and after each round trip to the server."""

    class SteppingSession(KeptSession):
        def send(self, queries: Sequence[Query]) -> list[list[Row]]:
            step()
            rows = super().send(queries)
            step()
            return rows

    return SteppingSession


def _take(key: _Key) -> _Kept | None:
    with suppress(IndexError):
        return _kept[key].pop()
    return None


def _is_as_new(session: PGconn) -> bool:
    """End what is left in a session; return False if it is not idle, or lost."""
    is_idle = (
        session.transaction_status == TransactionStatus.IDLE
        and session.pipeline_status == PipelineStatus.OFF
    )
    if not is_idle or session.exec_(_END_ALL).status != ExecStatus.COMMAND_OK:
        return False
    while session.notifies():  # they were for the last user
        pass
    return True


@cache
def _closed() -> PGconn:
    session = pq.PGconn.connect_start(b"host=''")
    session.finish()
    return session
