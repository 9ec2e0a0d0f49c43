"""The schema of a database file: created, migrated, and refused if it is another program's."""

import sqlite3
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends.sql.migrations import (
    Applied,
    Migration,
    MigrationState,
    all_migrations,
    find_missing,
    states_of,
)
from treadle.backends.sqlite._connection import (
    closing,
    connect_beside_others,
    execute,
    transaction,
)
from treadle.backends.sqlite._errors import translate, translate_errors
from treadle.backends.sqlite._uses import using_sqlite
from treadle.clock import Clock
from treadle.errors import CorruptRecord, InvalidValue, StoreUnavailable

APPLICATION_ID = 0x57656674
"""In the header of the file; it tells our databases from those of other programs."""

Shape: TypeAlias = Mapping[str, object]
"""The columns of each table and index, by its name."""

_MIGRATIONS = (
    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL)"
)
_TABLES = """
SELECT item.name, info.name, info.type, info."notnull", info.pk
FROM sqlite_schema AS item JOIN pragma_table_xinfo(item.name) AS info
WHERE item.type = 'table' AND item.name NOT LIKE 'sqlite_%'
ORDER BY item.name, info.cid
"""
_INDEXES = """
SELECT item.tbl_name || '.' || item.name, info.name, info."desc", info.coll, info.key
FROM sqlite_schema AS item JOIN pragma_index_xinfo(item.name) AS info
WHERE item.type = 'index' AND item.name NOT LIKE 'sqlite_%'
ORDER BY item.name, info.seqno
"""


def prepare(connection: sqlite3.Connection, path: str, clock: Clock, patience: Patience) -> None:
    """Check that the file is ours, and apply the missing migrations: all of them or none.

    Raises:
        InvalidValue: it is a database of another program.
        SchemaTooNew: a newer Treadle wrote it.
        CorruptRecord: its schema differs from that of its migrations.
        StoreUnavailable: a migration failed, or the file cannot be written.
    """
    with transaction(connection, "DEFERRED", patience):
        check_owner(connection, path)
    _use_write_ahead(connection, path, patience)
    if find_missing_here(connection, path):
        with transaction(connection, "IMMEDIATE", patience):
            missing = find_missing_here(connection, path)  # another process may have been faster
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(_MIGRATIONS)
            for migration in missing:
                _apply(connection, migration, path, clock)
    check_shape(connection, path)


def check_owner(connection: sqlite3.Connection, path: str) -> None:
    """Check, in a transaction, that the database is ours or empty, and has no triggers or views.

    Raises:
        InvalidValue: it is a database of another program.
        CorruptRecord: it has triggers or views, or it has tables but no list of migrations.
    """
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    kinds = dict(connection.execute("SELECT name, type FROM sqlite_schema"))
    if owner != APPLICATION_ID and (owner or kinds):
        raise InvalidValue("url", f"{path} is a database of another program; name another file")
    if not {"trigger", "view"}.isdisjoint(kinds.values()):
        raise CorruptRecord(path, "it has triggers or views, which Treadle never creates")
    if kinds and kinds.get("migrations") != "table":
        raise CorruptRecord(path, "it has tables, but no list of migrations")


def check_current(connection: sqlite3.Connection, path: str) -> None:
    """Check, in a transaction, that the database is ours, and that its schema is up to date.

    Raises:
        InvalidValue, CorruptRecord, SchemaTooNew: as `prepare`.
        StoreUnavailable: its schema has to be brought up to date first.
    """
    check_owner(connection, path)
    if find_missing_here(connection, path):
        reason = "its schema is older than this Treadle; run `treadle migrate` first"
        raise StoreUnavailable(path, reason)
    check_shape(connection, path)


def check_shape(connection: sqlite3.Connection, path: str) -> None:
    """Check that the tables and indexes of the migrations are there; others may be there too.

    Raises:
        CorruptRecord: one is missing, or has other columns.
    """
    texts, shape = _wanted_schema(all_migrations("sqlite"))
    if texts <= _read_texts(connection):
        return  # nothing has been altered, and to read the shape takes as long as to open the file
    found = _read_shape(connection)
    for name, wanted in shape.items():
        if name not in found:
            raise CorruptRecord(path, f"{name} is missing in its schema")
        if found[name] != wanted:
            raise CorruptRecord(path, f"{name} in its schema is not as Treadle creates it")


def read_applied(connection: sqlite3.Connection, path: str) -> dict[int, Applied]:
    """Return the applied migrations by number; a new file has none.

    Raises:
        CorruptRecord: the list of migrations is empty.
    """
    listed = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'"
    if connection.execute(listed).fetchone() is None:
        return {}
    rows = connection.execute("SELECT number, checksum, applied_at FROM migrations")
    applied = {number: Applied(checksum, applied_at) for number, checksum, applied_at in rows}
    if not applied:
        raise CorruptRecord(path, "its list of migrations is empty")
    return applied


def find_missing_here(connection: sqlite3.Connection, path: str) -> tuple[Migration, ...]:
    """Return the missing migrations of a database.

    Raises:
        SchemaTooNew, CorruptRecord: as `find_missing`.
    """
    return find_missing(all_migrations("sqlite"), read_applied(connection, path), path)


def migration_states(path: str) -> tuple[MigrationState, ...]:
    """Return all migrations, and when each was applied to a file, which need not exist.

    Raises:
        InvalidValue, SchemaTooNew, CorruptRecord, StoreUnavailable: as opening it would.
    """
    return states_of(all_migrations("sqlite"), _look_up_applied(path))


def missing_migrations(path: str) -> tuple[Migration, ...]:
    """Return the missing migrations of a file, which need not exist.

    Raises:
        InvalidValue, SchemaTooNew, CorruptRecord, StoreUnavailable: as opening it would.
    """
    return find_missing(all_migrations("sqlite"), _look_up_applied(path), path)


def _look_up_applied(path: str) -> dict[int, Applied]:
    with translate_errors(path):
        if not Path(path).exists():
            return {}
        patience = Patience.of(CALL_SECONDS)
        with (
            closing(connect_beside_others(path)) as connection,
            transaction(connection, "DEFERRED", patience),
        ):
            check_owner(connection, path)
            applied = read_applied(connection, path)
            find_missing(all_migrations("sqlite"), applied, path)
            return applied


def _use_write_ahead(connection: sqlite3.Connection, path: str, patience: Patience) -> None:
    """Switch the file to write-ahead mode."""
    (mode,) = execute(connection, "PRAGMA journal_mode = WAL", patience).fetchone()
    if mode != "wal":
        reason = "its disk does not allow write-ahead mode, which needs shared memory"
        raise StoreUnavailable(path, reason)


def _apply(connection: sqlite3.Connection, migration: Migration, path: str, clock: Clock) -> None:
    try:
        for statement in migration.statements():
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, clock()),
        )
    except sqlite3.Error as error:
        doing = f"migration {migration.label} failed, and nothing was changed"
        raise translate(error, path, doing) from error


def _read_shape(connection: sqlite3.Connection) -> Shape:
    parts: dict[str, list[object]] = {}
    for query in (_TABLES, _INDEXES):
        for name, *part in connection.execute(query):
            parts.setdefault(name, []).append(part)
    return parts


def _read_texts(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """The names of tables and indexes, and the statements that have created them."""
    return set(connection.execute("SELECT name, sql FROM sqlite_schema"))


@cache
def _wanted_schema(migrations: tuple[Migration, ...]) -> tuple[set[tuple[str, str]], Shape]:
    with using_sqlite(), closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(_MIGRATIONS)
        for migration in migrations:
            for statement in migration.statements():
                connection.execute(statement)
        return _read_texts(connection), _read_shape(connection)
