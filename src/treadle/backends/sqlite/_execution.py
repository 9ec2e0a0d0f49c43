"""Running programs on a connection, statement by statement."""

import sqlite3
from typing import TypeVar

from treadle.backends.sql.program import Program, Read, Row, Statement, Values
from treadle.backends.sql.tables import to_json
from treadle.backends.sql.texts import Texts

T = TypeVar("T")

TEXTS = Texts("sqlite")


def run(connection: sqlite3.Connection, program: Program[T]) -> T:
    """Run a program and return its result."""
    try:
        statements = next(program)
        while True:
            statements = program.send([_execute(connection, each) for each in statements])
    except StopIteration as end:
        result: T = end.value
        return result


def _execute(connection: sqlite3.Connection, statement: Statement) -> list[Row]:
    if isinstance(statement, Read):
        return _read(connection, statement)
    text, rows = TEXTS.of_write(statement.name), statement.rows
    if len(rows) == 1 and text:
        connection.execute(text, rows[0])
    elif text:
        connection.executemany(text, rows)
    return []


def _read(connection: sqlite3.Connection, read: Read) -> list[Row]:
    values, few = _bound(read.values)
    text = TEXTS.of_read(read.name, read.conditions, read.direction, read.sort, *few)
    try:
        return connection.execute(text, values).fetchall()
    except sqlite3.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
    return _read_leniently(connection, text, values)


def _bound(given: Values) -> tuple[Values, list[tuple[str, int]]]:
    """The values to bind, and which lists have one value, or none, and so are not read from JSON.

    SQLite takes longer to read a list than for most queries.
    """
    values: dict[str, object] = {}
    few: list[tuple[str, int]] = []
    for name, value in given.items():
        if type(value) is not list:
            values[name] = value
        elif len(value) > 1:
            values[name] = to_json(value)
        else:
            few.append((name, len(value)))
            for only in value:
                if type(only) is tuple:
                    values[f"{name}_id"], values[f"{name}_text"] = only
                else:
                    values[name] = only
    return values, few


def _read_leniently(connection: sqlite3.Connection, text: str, values: Values) -> list[Row]:
    """Run a query with texts that are not UTF-8 as bytes: it fails as a whole otherwise."""
    connection.text_factory = _decode_or_keep
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.text_factory = str


def _decode_or_keep(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
