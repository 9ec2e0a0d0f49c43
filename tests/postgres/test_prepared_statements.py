"""Statements that a session keeps, and which are not for psycopg to remove."""

import pytest
from psycopg import errors

from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import begin, connect, unavailable
from treadle.backends.postgres.location import parse_location

COUNT = Query("SELECT count(*) FROM pg_catalog.pg_prepared_statements")


def test_a_rollback_removes_no_statement(postgres_url: str) -> None:
    with connect(parse_location(postgres_url)) as connection:
        [before] = connection.send([COUNT])
        for _ in range(4):  # so often that psycopg would prepare what `begin` says
            with begin(connection):
                pass
        connection.send([Query("BEGIN")])
        connection.rollback()
        [after] = connection.send([COUNT])
    assert before != [(0,)]
    assert after[0][0] >= before[0][0]


def test_nothing_is_prepared_where_sessions_keep_nothing(postgres_url: str) -> None:
    separator = "&" if "?" in postgres_url else "?"
    location = parse_location(f"{postgres_url}{separator}prepared_statements=off")
    with connect(location) as connection:
        for _ in range(4):
            assert connection.send([COUNT]) == [[(0,)]]


def test_a_session_with_the_statements_of_another_process_carries_out_none_of_them(
    postgres_url: str,
) -> None:
    """A pooler that knows nothing of prepared statements gives both sessions to both processes."""
    location = parse_location(postgres_url)
    with connect(location) as ours, connect(location) as theirs:
        assert ours.send([Query("SELECT 'ours'")]) == [[("ours",)]]
        assert theirs.send([Query("SELECT 'theirs'")]) == [[("theirs",)]]
        ours.pgconn, theirs.pgconn = theirs.pgconn, ours.pgconn
        vars(ours)["_exchange"]._libpq = ours.pgconn
        with pytest.raises(errors.InvalidSqlStatementName) as refused:
            ours.send([Query("SELECT 'ours'")])
    assert "prepared_statements=off" in unavailable(refused.value, location).reason
