"""Migrations: numbered SQL files, each of which changes one schema into the next."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from treadle.core.codec import Model
from treadle.errors import CorruptRecord, SchemaTooNew

_ADVICE = "open it with the Treadle that created it, or restore a backup"


class Migration(msgspec.Struct, frozen=True):
    """A step from one schema to the next."""

    number: int
    name: str
    text: str

    @property
    def label(self) -> str:
        """The name of its file, without the ending."""
        return f"{self.number:04}_{self.name}"

    @property
    def checksum(self) -> str:
        """A hash of the statements, without comments; it shows that a migration was changed."""
        return _checksum(self)

    @property
    def contracts(self) -> bool:
        """True if it removes something that an older Treadle may use; its first line says so."""
        return self.text.startswith("-- contract")

    def statements(self) -> list[str]:
        """The statements; none contains a semicolon."""
        lines = (line for line in self.text.splitlines() if not line.startswith("--"))
        return [each.strip() for each in "\n".join(lines).split(";") if each.strip()]


@cache  # each opening of a store compares all of them
def _checksum(migration: Migration) -> str:
    lines = [f"contracts: {migration.contracts}", *map(_on_one_line, migration.statements())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _on_one_line(statement: str) -> str:
    return " ".join(statement.split())


class Applied(msgspec.Struct, frozen=True):
    """A migration as a database recorded it: its checksum, and when it was applied."""

    checksum: str
    applied_at: int


class MigrationState(Model, frozen=True, kw_only=True):
    """A migration, and when it was applied (unix milliseconds); None: not yet."""

    number: int
    name: str
    applied_at: int | None
    contracts: bool = False


@cache
def all_migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations in their order; `<name>.<dialect>.sql` replaces `<name>.sql`.

    One that has a file for another dialect only changes nothing here, and is left out.
    """
    folder = files("treadle.backends.sql.migrations")
    names = {item.name for item in folder.iterdir() if item.name.endswith(".sql")}
    found: list[Migration] = []
    for stem in sorted({name.split(".")[0] for name in names}):
        specific, shared = f"{stem}.{dialect}.sql", f"{stem}.sql"
        if names.isdisjoint((specific, shared)):
            continue
        text = (folder / (specific if specific in names else shared)).read_text(encoding="utf-8")
        number, _, title = stem.partition("_")
        found.append(Migration(number=int(number), name=title, text=text))
    return tuple(found)


def find_missing(
    known: tuple[Migration, ...], applied: Mapping[int, Applied], where: str
) -> tuple[Migration, ...]:
    """Return the migrations that are missing in a database with those `applied`.

    Raises:
        SchemaTooNew: it has a migration that this Treadle does not know.
        CorruptRecord: a migration has another checksum, was never one of ours, or was left out
            although it expands.
    """
    newest = known[-1].number
    if applied and max(applied) > newest:
        raise SchemaTooNew(where, max(applied), newest)
    if strange := applied.keys() - {migration.number for migration in known}:
        reason = f"its list of migrations has number {min(strange)}, which does not exist"
        raise CorruptRecord(where, reason, _ADVICE)
    for migration in known:
        if migration.number in applied:
            if applied[migration.number].checksum != migration.checksum:
                reason = (
                    f"its migration {migration.label} differs from the one that this Treadle has"
                )
                raise CorruptRecord(where, reason, _ADVICE)
        elif applied and max(applied) > migration.number and not migration.contracts:
            reason = f"its migration {migration.label} was left out"
            raise CorruptRecord(where, reason, _ADVICE)
    return tuple(migration for migration in known if migration.number not in applied)


def states_of(
    known: tuple[Migration, ...], applied: Mapping[int, Applied]
) -> tuple[MigrationState, ...]:
    """Return all migrations, and when each was applied."""
    times = {number: each.applied_at for number, each in applied.items()}
    return tuple(
        MigrationState(
            number=each.number,
            name=each.name,
            applied_at=times.get(each.number),
            contracts=each.contracts,
        )
        for each in known
    )
