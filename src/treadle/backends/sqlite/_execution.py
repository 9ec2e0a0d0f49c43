"""Running programs on a connection, statement by statement."""

import sqlite3
from operator import itemgetter
from typing import TypeVar

from treadle.backends.sql.program import Program, Read, Row, Statement
from treadle.backends.sql.texts import Texts
from treadle.backends.sqlite._column_types import check_rows

T = TypeVar("T")

TEXTS = Texts("sqlite")
_NAME = itemgetter(0)


def run(connection: sqlite3.Connection, program: Program[T]) -> T:
    """Run a program and return its result."""
    try:
        statements = next(program)
        while True:
            answers: list[list[Row]] = []
            for statement in statements:
                answers.append(_execute(connection, statement))
            statements = program.send(answers)
    except StopIteration as end:
        result: T = end.value
        return result


def _execute(connection: sqlite3.Connection, statement: Statement) -> list[Row]:
    text = TEXTS.of(statement)
    if isinstance(statement, Read):
        cursor = connection.execute(text, statement.values)
        rows = cursor.fetchall()
        return check_rows(tuple(map(_NAME, cursor.description)), rows) if rows else rows
    connection.executemany(text, statement.rows)
    return []
