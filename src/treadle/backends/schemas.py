"""Schemas of databases: which migrations are applied, and applying those that are missing."""

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
        """Return all migrations, and when each was applied."""
        ...

    def script(self, *, contract: bool) -> str:
        """Return the SQL that `apply` would run; empty if nothing is missing."""
        ...

    def apply(self, *, contract: bool) -> Sequence[int]:
        """Apply all missing migrations, or none; return the numbers of those that were applied.

        Without `contract`, migrations that remove what an older Treadle uses are not applied.
        """
        ...


def find_schema(url: str) -> Schema | None:
    """Return the schema of the store at `url`; None if such a store has none.

    Raises:
        InvalidValue: Treadle does not know such a URL.
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
    """The schema of a file: opening it applies all migrations, the contracting ones too."""

    path: Path

    def states(self) -> Sequence[MigrationState]:
        states = sqlite_schema.migration_states(str(self.path))
        # Nobody has to ask for those that contract.
        return [msgspec.structs.replace(each, contracts=False) for each in states]

    def script(self, *, contract: bool) -> str:
        missing = sqlite_schema.missing_migrations(str(self.path))
        return "\n".join(f"-- {each.label}\n\n{each.text.strip()}\n" for each in missing)

    def apply(self, *, contract: bool) -> Sequence[int]:
        missing = sqlite_schema.missing_migrations(str(self.path))
        asyncio.run(_open_and_close(self.path))  # opening applies the migrations
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
    backend = SqliteBackend(path)
    await backend.open()
    await backend.close()
