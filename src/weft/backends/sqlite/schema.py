"""The schema of a database file: made or brought up to date, and refused if it is another's."""

import sqlite3

from weft.backends.sql.migrations import all_migrations, find_missing
from weft.backends.sqlite.connection import transaction
from weft.core.clock import Clock
from weft.errors import CorruptRecord, InvalidValue

APPLICATION_ID = 0x57656674
"""`Weft`, in the header of the file: what tells our databases from others."""


def prepare(connection: sqlite3.Connection, path: str, clock: Clock) -> None:
    """See that the file is ours, and apply the migrations that it lacks.

    Raises:
        InvalidValue: it is a database of another program.
        SchemaTooNew: a newer Weft wrote it.
        CorruptRecord: its schema is not what it says it is.
    """
    _check_owner(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    with transaction(connection, "IMMEDIATE"):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY,"
            " name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)"
        )
        missing = find_missing(all_migrations("sqlite"), read_applied(connection), path)
        for migration in missing:
            for statement in migration.statements():
                connection.execute(statement)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, clock()),
            )


def read_applied(connection: sqlite3.Connection) -> dict[int, str]:
    """The checksums of the migrations that were applied, by number."""
    return dict(connection.execute("SELECT number, checksum FROM migrations"))


def _check_owner(connection: sqlite3.Connection, path: str) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    kinds = dict(connection.execute("SELECT type, COUNT(*) FROM sqlite_master GROUP BY type"))
    if owner != APPLICATION_ID and kinds:
        raise InvalidValue("url", f"{path} is a database of another program; name another file")
    if "trigger" in kinds or "view" in kinds:
        raise CorruptRecord(path, "it has triggers or views, which Weft never makes")
