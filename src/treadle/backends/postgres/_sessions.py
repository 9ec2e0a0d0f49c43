"""Sessions: what the server says about a connection on which it does not answer.

A connection may fall silent and stay open: a firewall forgets it, a proxy stops forwarding, a host
fails over. Without an answer, that looks like a server that is still working. So the server is
asked on another connection.
"""

from contextlib import suppress
from typing import Literal

import msgspec
import psycopg

from treadle.backends._deadline import Deadline, Patience
from treadle.backends.postgres._limits import ANSWER_SECONDS, INQUIRY_SECONDS, SILENCE_SECONDS
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location

# Functions instead of `pg_stat_activity`, so that no operator of another role is called.
# Numbers instead of times, whose form depends on `DateStyle`.
_FIND = """SELECT pid, pg_catalog.date_part('epoch', backend_start),
    pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),
    pg_catalog.pg_is_in_recovery()
FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"""
_LOOK = """SELECT pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),
    pg_catalog.pg_is_in_recovery(), pg_catalog.date_part('epoch', backend_start), wait_event_type
FROM (VALUES (1)) AS always
LEFT JOIN pg_catalog.pg_stat_get_activity(%(pid)s) ON true"""
_BLOCKERS = "SELECT pg_catalog.pg_blocking_pids(%(pid)s)"
_NAME = """SELECT application_name, state
FROM pg_catalog.pg_stat_get_activity(%(pid)s)"""
_END = "SELECT pg_catalog.pg_terminate_backend(%(pid)s)"


class Session(msgspec.Struct, frozen=True):
    """The server's end of a connection; no two have the same values."""

    pid: int
    started: float
    """In seconds since 1970, by the server's clock."""
    server_started: float
    """Likewise, for the server."""
    is_standby: bool

    def may_be_known(self, server_started: float, *, is_standby: bool) -> bool:
        """Return True if a server would know this session: it is the same, or has taken over.

        A URL may name many hosts, so a standby beside the session's server may be the one asked.
        """
        return server_started == self.server_started or not (is_standby or self.is_standby)


def session_of(connection: Connection) -> Session | None:
    """The session of a connection; None behind a pooler, which gives it to others.

    Raises:
        psycopg.Error: the server does not answer.
    """
    row = connection.execute(_FIND).fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        return None
    return Session(*row)


class SessionWatch:
    """Asks about a session, each time on a new connection: idle ones may be silent as well.

    Args:
        location: the database.
        session: the session.
        silence_seconds: how long the server may be silent before it is asked.
    """

    def __init__(
        self, location: Location, session: Session, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self.seconds = silence_seconds
        self.grace = min(silence_seconds, ANSWER_SECONDS)
        self.holders = ""
        self._location = location
        self._session = session

    def begin(self, seconds: float) -> None:
        """Begin to look after a new use of the connection."""
        self.seconds = seconds
        self.holders = ""

    def is_lost(self, deadline: Deadline) -> bool:
        """Return True if the server waits for us, as we wait for it, or has ended the session.

        If the server cannot be asked, it may be working: return False.
        """
        with suppress(psycopg.Error), self._asking(deadline) as asking:
            state = self._state(asking)
            if state == "blocked":
                self.holders = _holders(asking, self._session.pid)
            return state in ("waiting", "gone")
        return False

    def end(self) -> None:
        """End the session, unless it is working: its transaction keeps its locks."""
        deadline = Deadline.after(INQUIRY_SECONDS)
        with suppress(psycopg.Error), self._asking(deadline) as asking:
            if self._state(asking) == "waiting":
                asking.execute(_END, {"pid": self._session.pid})

    def _state(self, asking: Connection) -> Literal["working", "blocked", "waiting", "gone"]:
        found = asking.execute(_LOOK, {"pid": self._session.pid}).fetchone()
        server_started, is_standby, started, waits_for = found or (0.0, True, None, None)
        if not self._session.may_be_known(server_started, is_standby=is_standby):
            return "working"  # as far as is known
        if started != self._session.started:
            return "gone"
        match waits_for:
            case "Client":
                return "waiting"
            case "Lock":
                return "blocked"
            case _:
                return "working"

    def _asking(self, deadline: Deadline) -> Connection:
        return connect(self._location, Patience(deadline.sooner(INQUIRY_SECONDS)))


def _holders(asking: Connection, pid: int) -> str:
    """The sessions for which a session waits in the end, with the names that they gave themselves.

    Those that wait themselves are left out: they are in the same queue.
    """
    found: list[str] = []
    seen = {pid}
    queue = [pid]
    while queue:
        (blockers,) = asking.execute(_BLOCKERS, {"pid": queue.pop()}).fetchone() or ([],)
        for blocker in set(blockers) - seen:
            seen.add(blocker)
            if asking.execute(_BLOCKERS, {"pid": blocker}).fetchone() == ([],):
                found.append(_described(asking, blocker))
            else:
                queue.append(blocker)
    return ", ".join(found)


def _described(asking: Connection, pid: int) -> str:
    if pid == 0:
        return "a prepared transaction"
    name, state = asking.execute(_NAME, {"pid": pid}).fetchone() or (None, None)
    known = ", ".join(filter(None, (repr(name) if name else None, state)))
    return f"process {pid} of the server" + (f" ({known})" if known else "")
