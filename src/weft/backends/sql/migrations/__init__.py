"""Migrations: numbered texts that bring a database from one schema to the next."""

import hashlib
from functools import cache
from importlib.resources import files

import msgspec

from weft.errors import CorruptRecord, SchemaTooNew


class Migration(msgspec.Struct, frozen=True):
    """A step from one schema to the next."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Tells whether a text is the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        """Its statements; none of them has a semicolon inside."""
        lines = (line for line in self.text.splitlines() if not line.startswith("--"))
        return [each.strip() for each in "\n".join(lines).split(";") if each.strip()]


@cache
def all_migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations in their order; `<name>.<dialect>.sql` takes the place of `<name>.sql`."""
    folder = files("weft.backends.sql.migrations")
    names = {item.name for item in folder.iterdir() if item.name.endswith(".sql")}
    found: list[Migration] = []
    for stem in sorted({name.split(".")[0] for name in names}):
        own = f"{stem}.{dialect}.sql"
        text = (folder / (own if own in names else f"{stem}.sql")).read_text(encoding="utf-8")
        number, _, title = stem.partition("_")
        found.append(Migration(number=int(number), name=title, text=text))
    return tuple(found)


def find_missing(
    known: tuple[Migration, ...], applied: dict[int, str], where: str
) -> tuple[Migration, ...]:
    """The migrations that a database lacks, which has had those with these checksums `applied`.

    Raises:
        SchemaTooNew: it has one that this Weft does not know.
        CorruptRecord: one was another text when it was applied.
    """
    newest = known[-1].number
    if applied and max(applied) > newest:
        raise SchemaTooNew(where, max(applied), newest)
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise CorruptRecord(where, f"its migration {migration.number} is not the one we know")
    return tuple(migration for migration in known if migration.number not in applied)
