"""The texts of statements, one file for each.

A statement that only one database has is in its backend's folder, `<dialect>/queries/<name>.sql`. A
shared one is `queries/<name>.sql` here; where the databases need different texts, the file
`queries/<name>.<dialect>.sql` is beside it.

Values are bound by the driver and never become text. What is put into a text is written here: the
columns and tables of entries, conditions by their names, and how claims step through priorities.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from treadle.backends.sql.program import Read
from treadle.backends.sql.rows import ENTRY_COLUMNS

CONDITIONS: dict[str, str] = {
    "resource_id": "resource_id = :resource_id",
    "parent_thread_id": "parent_thread_id = :parent_thread_id",
    "thread_id": "thread_id = :thread_id",
    "parent_run_id": "parent_run_id = :parent_run_id",
    "status": "status = :status",
    "origin": "origin = :origin",
    "termination_code": "termination_code = :termination_code",
    "created_at_from": "created_at >= :created_at_from",
    "created_at_to": "created_at <= :created_at_to",
    "updated_at_from": "updated_at >= :updated_at_from",
    "updated_at_to": "updated_at <= :updated_at_to",
    "mailbox_id": "mailbox_id = :mailbox_id",
    "after": "position > :after",
    "before": "position < :before",
    "visibility": "visibility = :visibility",
    "run_id": "run_id = :run_id",
}
_DIRECTIONS = ("ASC", "DESC")

# Where dialects differ within a text. PostgreSQL's indexes hold no long texts, only their hashes,
# and those of listings by status an expression, so that no other statement goes by them.
_HASHED = "hashtextextended({0}, 0) = hashtextextended(:{0}, 0) AND {0} = :{0}"
_CONDITIONS_OF: dict[str, dict[str, str]] = {
    "sqlite": CONDITIONS,
    "postgres": CONDITIONS
    | {name: _HASHED.format(name) for name in ("resource_id", "run_id")}
    | {"status": "status || '' = :status"},
}
_ENTRY_TABLES = {
    "sqlite": "entries\nJOIN payloads USING (entry_key)",
    "postgres": "entries\nJOIN payloads USING (entry_id, mailbox_id, created_at)",
}

_STEPS = """steps (priority) AS (
    SELECT MAX(priority) FROM queue_heads WHERE blocked = 0
    UNION ALL
    SELECT (SELECT MAX(queue_heads.priority) FROM queue_heads
            WHERE queue_heads.blocked = 0 AND queue_heads.priority < steps.priority)
    FROM steps
    WHERE steps.priority IS NOT NULL
)"""
"""The priorities of queue heads that are not blocked, highest first, and NULL at the end. A step to
the next priority is one look at the index, however many heads there are."""


class Texts:
    """The texts in one dialect; `adapt` brings them into the form that the driver wants."""

    def __init__(self, dialect: str, adapt: Callable[[str], str] = str) -> None:
        self._dialect = dialect
        self._adapt = adapt
        self._known: dict[tuple[str, tuple[str, ...], str], str] = {}

    def of_read(self, read: Read) -> str:
        """The text of a query."""
        return self._find(read.name, read.conditions, read.direction)

    def of_write(self, name: str) -> str:
        """The text of a statement."""
        return self._find(name, (), "ASC")

    def _find(self, name: str, conditions: tuple[str, ...], direction: str) -> str:
        key = (name, conditions, direction)
        if key not in self._known:
            self._known[key] = self._adapt(self._assemble(name, conditions, direction))
        return self._known[key]

    def _assemble(self, name: str, conditions: tuple[str, ...], direction: str) -> str:
        assert direction in _DIRECTIONS  # noqa: S101
        known = _CONDITIONS_OF[self._dialect]
        text = read_text(name, self._dialect)
        for place, put in (
            ("{conditions}", " AND ".join(known[each] for each in conditions) or "1 = 1"),
            ("{direction}", direction),
            ("{entry_columns}", ENTRY_COLUMNS),
            ("{entry_tables}", _ENTRY_TABLES[self._dialect]),
            ("{steps}", _STEPS),
        ):
            text = text.replace(place, put)
        return text


@cache
def read_text(name: str, dialect: str) -> str:
    """Load a statement's text: the backend's own, else the dialect's, else the shared one."""
    backends = files("treadle.backends")
    shared = backends / "sql" / "queries"
    for file in (
        backends / dialect / "queries" / f"{name}.sql",
        shared / f"{name}.{dialect}.sql",
    ):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return (shared / f"{name}.sql").read_text(encoding="utf-8")
