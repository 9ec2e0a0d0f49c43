"""Vacuuming the tables, so that nobody can read what was deleted from them."""

import psycopg

from treadle.backends.postgres.connection import connect, unavailable
from treadle.backends.postgres.location import Location
from treadle.backends.sql.tables import TABLES


def vacuum(location: Location) -> None:
    """Vacuum all tables, beside those who use them.

    Raises:
        StoreUnavailable: the server cannot be reached, or a table is locked for too long.
    """
    try:
        with connect(location) as connection:
            connection.autocommit = True
            for name in TABLES:
                connection.execute(location.qualify(f"VACUUM {name}").encode())
    except psycopg.Error as error:
        raise unavailable(error, location) from error
