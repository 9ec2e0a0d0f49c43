"""Vacuuming the tables, so that nobody can read what was deleted from them."""

import logging

import psycopg
from psycopg.errors import Diagnostic

from treadle.backends.postgres._limits import VACUUM_LOCK_SECONDS
from treadle.backends.postgres._sessions import session_of
from treadle.backends.postgres.connection import connect, unavailable
from treadle.backends.postgres.location import Location
from treadle.backends.sql.tables import TABLES
from treadle.errors import StoreUnavailable

_LOG = logging.getLogger("treadle.postgres")


def vacuum(location: Location, lock_seconds: float = VACUUM_LOCK_SECONDS) -> None:
    """Vacuum all tables, beside those who use them.

    The server skips a table that another role owns; what it says about that is logged.

    Args:
        location: the tables.
        lock_seconds: how long to wait for a table that somebody else vacuums or changes. Behind a
            pooler that shares sessions, the server's `lock_timeout` decides: a setting would stay.

    Raises:
        StoreUnavailable: the server cannot be reached, or a table is locked for too long.
    """
    doing = "connecting"
    try:
        with connect(location) as connection:
            connection.add_notice_handler(_log)
            if session_of(connection) is not None:
                milliseconds = int(lock_seconds * 1000)
                connection.execute(f"SET lock_timeout = {milliseconds}".encode())
            for name in TABLES:
                doing = f"VACUUM of the table {name}"
                connection.execute(location.qualify(f"VACUUM {name}").encode())
    except psycopg.Error as error:
        reason = f"{doing}: {unavailable(error, location).reason}"
        raise StoreUnavailable(str(location), reason) from error


def _log(notice: Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        _LOG.warning("VACUUM: %s", notice.message_primary)
