"""Statements as they are sent: texts with their values, a transaction in as few trips as can be.

Nothing here does I/O: a generator yields what goes to the server at once, and is sent the rows.
"""

import re
from collections.abc import Generator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from treadle.backends.postgres.location import Location
from treadle.backends.sql.program import Program, Read, Row, Statement, Values, Write
from treadle.backends.sql.texts import Texts

T = TypeVar("T")

_VALUE = re.compile(r"(?<!:):([a-z_]+)")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


class Query(msgspec.Struct, frozen=True):
    """What is sent: a text and the values it names."""

    text: str
    values: Values | None = None


Trips: TypeAlias = Generator[Sequence[Query], list[list[Row]], T]
"""Yields the queries of one trip to the server, and is sent the rows of each."""


class Queries:
    """Makes queries of a program's statements, for the tables of one location."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._texts = Texts("postgres", self._adapt)

    def of(self, statement: Statement) -> Query:
        """The query of a statement. All rows of a write are one value, so they go as one."""
        if isinstance(statement, Read):
            return Query(self._texts.of_read(statement), statement.values)
        rows = msgspec.json.encode(statement.rows).decode()
        return Query(self._texts.of_write(statement.name), {"rows": rows})

    def named(self, name: str, **values: Any) -> Query:
        """The query of a text that belongs to no program."""
        return self.of(Read(name, values))

    def _adapt(self, text: str) -> str:
        bare = _COMMENT.sub("", text)
        return _VALUE.sub(r"%(\1)s", self._location.qualify(bare))


class Made(msgspec.Struct, Generic[T]):
    """What has come of a program, whose transaction is still to be ended."""

    result: T
    waiting: Sequence[Query]
    """What has yet to be sent, with the end."""
    writes: bool
    """Whether anything was or is to be written."""


def trips(program: Program[T], queries: Queries, opening: Sequence[Query] = ()) -> Trips[Made[T]]:
    """Carry out a program in a transaction that begins with `opening`.

    A step that only writes has no answer to wait for: it goes with the next trip.
    """
    waiting = list(opening)
    writes = False
    try:
        statements = next(program)
        while True:
            waiting += map(queries.of, statements)
            answers: list[list[Row]] = [[]] * len(statements)
            if all(isinstance(statement, Write) for statement in statements):
                writes = True
            else:
                answers = (yield waiting)[-len(statements) :]
                waiting = []
            statements = program.send(answers)
    except StopIteration as end:
        return Made(end.value, waiting, writes)
