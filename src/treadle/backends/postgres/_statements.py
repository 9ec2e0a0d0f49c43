"""Statements as they are sent: texts with their values, in as few round trips as possible.

Nothing here does I/O.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from treadle.backends.postgres._limits import LARGEST_VALUE, MOST_OWNER_LOCKS
from treadle.backends.postgres.location import Location
from treadle.backends.sql.program import Program, Read, Row, Statement, Values, Write, writes
from treadle.backends.sql.tables import to_json
from treadle.backends.sql.texts import Texts
from treadle.errors import InvalidValue

T = TypeVar("T")

_VALUE = re.compile(r"(?<!:):([a-z_]+)")
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_ABOUT_OWNERS = ("update_run_owners", "upsert_run_time")
"""The statements that give runs the owners of their threads."""


class Query(msgspec.Struct, frozen=True, gc=False):
    """A text and the values that it names."""

    text: str
    values: Values | None = None


class Queries:
    """Turns the statements of programs into queries on the tables of one location."""

    def __init__(self, location: Location) -> None:
        self._texts = _texts_in(location.schema, location.table_prefix)

    def of(self, statement: Statement) -> Query:
        """The query for a statement. All rows of a write are one value, so they are one query.

        Raises:
            InvalidValue: the server would not take so large a value, and end the session.
        """
        if isinstance(statement, Read):
            values = {name: _bound(each) for name, each in statement.values.items()}
        else:
            rows = msgspec.json.encode(statement.rows)
            if len(rows) > LARGEST_VALUE:
                size = f"{statement.name} has {len(rows):,} bytes of rows"
                reason = f"{size}, of which PostgreSQL takes {LARGEST_VALUE:,} at a time"
                raise InvalidValue("batch", f"{reason}; divide the batch")
            values = {"rows": rows.decode(), "count": len(statement.rows)}
        return Query(self._texts.of(statement), values)


@lru_cache(16)
def _texts_in(schema: str, table_prefix: str) -> Texts:
    """The texts for the tables there; a store that is opened again does not write them again."""
    location = Location("", schema=schema, table_prefix=table_prefix)

    def adapt(text: str) -> str:
        bare = _COMMENT.sub("", text)
        return _VALUE.sub(r"%(\1)s", location.qualify(bare))

    return Texts("postgres", adapt)


def _bound(value: object) -> object:
    """The value of a query as the driver gets it: a list as JSON."""
    return to_json(value) if type(value) is list else value


class Uncommitted(msgspec.Struct, Generic[T]):
    """The result of a program whose transaction is still open."""

    result: T
    unsent: Sequence[Query]
    """Writes that are sent together with the COMMIT."""
    writes: bool
    """True if the program has written anything."""


def _locks_before(statements: Iterable[Statement]) -> Sequence[Statement]:
    """The statement that locks the owners of the threads that others are about.

    Each lock has a place in the server's memory until the transaction ends. All sessions have some
    thousands together, and a server without a free one refuses everybody's statements.
    """
    thread_ids = {
        row["of_thread"]
        for statement in statements
        if isinstance(statement, Write) and statement.name in _ABOUT_OWNERS
        for row in statement.rows
    }
    if len(thread_ids) > MOST_OWNER_LOCKS:
        return (Write("lock_all_owners", ({},)),)
    return writes(lock_owners=[{"of_thread": each} for each in thread_ids])


class RoundTrips(Generic[T]):
    """Carries out a program in as few round trips as possible.

    A step that only writes has no answer to wait for, so it is sent with the next step that reads,
    or with the end of the transaction. While there is a `pending` round trip, send it and give its
    rows to `answer`; afterwards there is an `outcome`.

    Args:
        program: each of its steps either reads or writes.
        queries: turns its statements into queries.
        opening: is sent before its first statement.
    """

    def __init__(
        self, program: Program[T], queries: Queries, opening: Sequence[Query] = ()
    ) -> None:
        self._program = program
        self._queries = queries
        self._unsent = list(opening)
        self._writes = False
        self._reads = 0
        self.pending: Sequence[Query] = ()
        """The queries of the next round trip; none once the program has ended."""
        self.outcome: Uncommitted[T]
        self._go_on(None)

    def answer(self, rows: Sequence[list[Row]]) -> None:
        """Go on with the rows of each query that was pending."""
        self._go_on(list(rows[-self._reads :]))

    def _go_on(self, answers: list[list[Row]] | None) -> None:
        self.pending = ()
        try:
            while not self.pending:
                # A generator that has not begun takes None only.
                statements = self._program.send(answers)  # type: ignore[arg-type]
                for statement in (*_locks_before(statements), *statements):
                    self._unsent.append(self._queries.of(statement))
                if isinstance(statements[0], Write):
                    self._writes = True
                    answers = [[]] * len(statements)
                else:
                    self._reads = len(statements)
                    self.pending, self._unsent = self._unsent, []
        except StopIteration as end:
            self.outcome = Uncommitted(end.value, self._unsent, self._writes)
