"""A round trip to the server: it sends several statements at once, then reads all their answers.

It calls libpq itself. psycopg's cursors send each statement with a system call of its own and
wait for the socket in between, which costs more than the statements of a commit cost the server.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from treadle.backends.postgres._limits import MOST_PREPARED
from treadle.backends.postgres._statements import Query
from treadle.backends.sql.program import Row

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_HASH_DIGITS = 16
_Values: TypeAlias = list[bytes | None]


class Exchange:
    """The round trips of one connection.

    Args:
        connection: the connection; it is in no pipeline of psycopg's.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._libpq = connection.pgconn
        self._loader = Transformer(connection)
        self._names: dict[bytes, bytes] = {}
        """The names of the prepared statements, by text."""

    def carry_out(self, queries: Sequence[Query], *, prepares: bool) -> PQGen[list[list[Row]]]:
        """Send queries and return the rows of each.

        Args:
            queries: the queries.
            prepares: whether the session keeps the statements that are prepared in it.

        Raises:
            psycopg.Error: that of the first query that fails; nothing after it was carried out.
        """
        bound = [_bind(query) for query in queries]  # may fail, so before anything is sent
        self._libpq.enter_pipeline_mode()
        prepared = self._send(bound, prepares)
        results = yield from _results(self._libpq)
        self._libpq.exit_pipeline_mode()
        rows: list[list[Row]] = []
        for text, result in zip(prepared, results, strict=True):
            if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                raise errors.error_from_result(result)
            if text is None:
                rows.append(self._rows_of(result))
            else:
                self._names[text] = _name_of(text)
        return rows

    def _send(self, bound: Sequence[tuple[bytes, _Values]], prepares: bool) -> list[bytes | None]:
        """Send statements; return for each answer to come the text that it has prepared, if any."""
        prepared: list[bytes | None] = []
        names = dict[bytes, bytes]()
        for text, values in bound:
            name = (self._names.get(text) or names.get(text)) if prepares else None
            known = len(self._names) + len(names)
            if name is None and prepares and known < MOST_PREPARED:
                name = names[text] = _name_of(text)
                self._libpq.send_prepare(name, text)
                prepared.append(text)
            if name is None:
                self._libpq.send_query_params(text, values)
            else:
                self._libpq.send_query_prepared(name, values)
            prepared.append(None)
        self._libpq.pipeline_sync()
        return prepared

    def _rows_of(self, result: PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        self._loader.set_pgresult(result)
        rows = self._loader.load_rows(0, result.ntuples, tuple)
        self._loader.set_pgresult(None)  # it may be large, and the connection is kept
        return rows


@cache
def _name_of(text: bytes) -> bytes:
    """The name of a prepared statement: no two texts share one, in whatever session.

    A pooler that shares sessions may give us one in which another process has prepared its own.
    With numbers for names, the server would carry out what that process has under the number.
    """
    return b"treadle_" + sha256(text).hexdigest()[:_HASH_DIGITS].encode()


def _results(libpq: PGconn) -> PQGen[list[PGresult]]:
    """The results of all that was sent, once the server has answered all of it.

    Raises:
        psycopg.OperationalError: the connection is lost. If the server has said why, so does it.
    """
    results: list[PGresult] = []
    try:
        yield from _receive(libpq, results)
    except psycopg.OperationalError as error:
        last_words = _last_words([*results, *_rest(libpq)])
        if last_words is None:
            raise
        raise psycopg.OperationalError(f"the connection is lost: {last_words}") from error
    return results


def _receive(libpq: PGconn, results: list[PGresult]) -> PQGen[None]:
    while libpq.flush():
        if (yield Wait.RW) & Ready.R:
            libpq.consume_input()
    while True:
        while libpq.is_busy():
            yield Wait.R
            libpq.consume_input()
        result = libpq.get_result()
        if result is None:  # the end of one statement's answer
            if libpq.status == ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return
        else:
            results.append(result)


def _rest(libpq: PGconn) -> Iterator[PGresult]:
    """What had come before the connection was lost, and was not yet taken."""
    ends = 0
    while libpq.status == ConnStatus.BAD and ends < 2:  # there is none between two answers
        result = libpq.get_result()
        ends = ends + 1 if result is None else 0
        if result is not None:
            yield result


def _last_words(results: Sequence[PGresult]) -> str | None:
    """Why the server has ended the session, if it has said so."""
    for result in reversed(results):
        if result.error_field(DiagnosticField.SEVERITY_NONLOCALIZED) in (b"FATAL", b"PANIC"):
            reason = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
            return reason.decode(errors="replace")
    return None


def _bind(query: Query) -> tuple[bytes, _Values]:
    text, names = _numbered(query.text)
    values = query.values or {}
    return text, [_encoded(values[name]) for name in names]


@cache
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """A text with numbers for its values, as the server wants it, and their names in this order."""
    names = tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))
    numbers = {name: f"${number}" for number, name in enumerate(names, start=1)}
    return _PLACEHOLDER.sub(lambda found: numbers[found[1]], text).encode(), names


def _encoded(value: object) -> bytes | None:
    """A value as text; the server knows its type from the statement."""
    if value is None:
        return None
    encoded = str(value).encode()
    if b"\0" in encoded:  # libpq would send what is before it
        raise psycopg.DataError("PostgreSQL stores no text with a NUL character")
    return encoded
