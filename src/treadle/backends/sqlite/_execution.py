"""Running programs on a connection, statement by statement."""

import sqlite3
from typing import TypeVar

from treadle.backends.sql.program import Program, Read, Row, Statement, Values, Write
from treadle.backends.sql.rows import FewValues
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
    if isinstance(statement, Write):
        if text := TEXTS.of(statement):
            if len(statement.rows) == 1:
                connection.execute(text, statement.rows[0])
            else:
                connection.executemany(text, statement.rows)
        return []
    text, values = _question(statement)
    try:
        return connection.execute(text, values).fetchall()
    except sqlite3.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
    return _read_leniently(connection, text, values)


def _question(read: Read) -> tuple[str, Values]:
    """The text of a query, and its values; a list of one value, or none, is not read from JSON."""
    few = [(name, each) for name, each in read.values.items() if type(each) is FewValues]
    if not few:
        return TEXTS.of(read), read.values
    values = dict(read.values)
    for name, each in few:
        for value in each.values:
            if isinstance(value, tuple):
                values[f"{name}_id"], values[f"{name}_text"] = value
            else:
                values[name] = value
    return TEXTS.for_few(read, tuple([(name, len(each.values)) for name, each in few])), values


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
