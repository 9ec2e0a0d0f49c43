"""The connections of a store."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from threading import Lock

import psycopg
from psycopg.pq import TransactionStatus

from treadle.backends._closing import close_all
from treadle.backends._deadline import Patience
from treadle.backends._forks import give_up_in_children
from treadle.backends.postgres._limits import SILENCE_SECONDS
from treadle.backends.postgres._sessions import SessionWatch, session_of
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location


class Connections:
    """The connections of a store. There are never more than threads that use them.

    Args:
        location: the database.
        connection_class: for tests.
        silence_seconds: how long the server may be silent before it is asked about it.
    """

    def __init__(
        self,
        location: Location,
        connection_class: type[Connection],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._location = location
        self._connection_class = connection_class
        self._silence_seconds = silence_seconds
        self._lock = Lock()
        self._idle: list[Connection] = []
        give_up_in_children(self)

    def give_up(self) -> None:
        """Forget the connections in a forked child, which closes each of them."""
        self._lock = Lock()
        self._idle = []

    @contextmanager
    def hold(
        self, patience: Patience, silence_seconds: float | None = None
    ) -> Generator[Connection, None, None]:
        """Lend a connection that is in no transaction; a transaction left open is rolled back.

        Args:
            patience: how long its use may take.
            silence_seconds: how long the server may be silent this time, if it is to be asked
                earlier; it has as long as usual to answer then.

        Raises:
            psycopg.Error: the server cannot be reached, or refuses us.
        """
        connection = self._take(patience)
        if connection.watch is not None:
            connection.watch.begin(silence_seconds or self._silence_seconds)
        try:
            yield connection
        except BaseException:
            with suppress(psycopg.Error):  # the caller gets the first error
                if not connection.closed:
                    connection.rollback()
            raise
        finally:
            self._give_back(connection)

    def close_idle(self) -> None:
        """Close the connections that nobody uses: after an outage they are lost as well."""
        with self._lock:
            idle, self._idle = self._idle, []
        close_all(*(connection.close for connection in idle))

    def _take(self, patience: Patience) -> Connection:
        with self._lock:
            # The last one used, so that a store with little to do needs one connection only.
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            return self._connect(patience)
        connection.patience = patience
        return connection

    def _connect(self, patience: Patience) -> Connection:
        connection = connect(self._location, patience, self._connection_class)
        try:
            session = session_of(connection)
        except BaseException:
            connection.close()
            raise
        if session is not None:
            connection.watch = SessionWatch(self._location, session, self._silence_seconds)
        return connection

    def _give_back(self, connection: Connection) -> None:
        if connection.info.transaction_status == TransactionStatus.IDLE:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
