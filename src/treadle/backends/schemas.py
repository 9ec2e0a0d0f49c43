"""Schemas: of which store there is one, how far it is, and how it is brought up to date."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from treadle.backends.registry import require_postgres
from treadle.backends.sql.migrations import MigrationState
from treadle.backends.sqlite import schema as sqlite_schema
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.backends.urls import split_url, sqlite_path

if TYPE_CHECKING:
    from treadle.backends.postgres.location import Location


class Schema(Protocol):
    """The schema of a database."""

    def states(self) -> Sequence[MigrationState]:
        """All migrations, and when each was applied."""
        ...

    def script(self, *, contract: bool) -> str:
        """The SQL that `apply` would run; empty if it would run none."""
        ...

    def apply(self, *, contract: bool) -> Sequence[int]:
        """Bring it up to date, all of it or nothing; the numbers of what was applied.

        Steps that take away what an older Treadle uses are left out without `contract`.
        """
        ...


def find_schema(url: str) -> Schema | None:
    """The schema of the store at `url`; None if its kind has none.

    Raises:
        InvalidValue: the URL is none that Treadle knows.
    """
    scheme, rest = split_url(url)
    match scheme:
        case "sqlite":
            return _SqliteSchema(sqlite_path(rest))
        case "postgresql" | "postgres":
            require_postgres()
            from treadle.backends.postgres.location import parse_location

            return _PostgresSchema(parse_location(url))
        case _:
            return None


class _SqliteSchema(msgspec.Struct, frozen=True):
    """Of a file, which only this Treadle and its like use: all steps are taken at the opening."""

    path: Path

    def states(self) -> Sequence[MigrationState]:
        return sqlite_schema.migration_states(str(self.path))

    def script(self, *, contract: bool) -> str:
        missing = sqlite_schema.missing_migrations(str(self.path))
        return "\n".join(f"-- {each.label}\n\n{each.text.strip()}\n" for each in missing)

    def apply(self, *, contract: bool) -> Sequence[int]:
        missing = sqlite_schema.missing_migrations(str(self.path))
        asyncio.run(_open_and_close(self.path))
        return [each.number for each in missing]


class _PostgresSchema(msgspec.Struct, frozen=True):
    location: "Location"

    def states(self) -> Sequence[MigrationState]:
        from treadle.backends.postgres.schema import migration_states

        return migration_states(self.location)

    def script(self, *, contract: bool) -> str:
        from treadle.backends.postgres.schema import migration_script

        return migration_script(self.location, contract=contract)

    def apply(self, *, contract: bool) -> Sequence[int]:
        from treadle.backends.postgres.schema import migrate

        return [each.number for each in migrate(self.location, contract=contract)]


async def _open_and_close(path: Path) -> None:
    """Opening a database file brings its schema up to date."""
    backend = SqliteBackend(path)
    await backend.open()
    await backend.close()
