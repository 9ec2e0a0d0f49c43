"""A session that was kept is like a new one, except for the statements that it has prepared."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres.kept_sessions import KeptSession, stepping
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import connect
from treadle.backends.postgres.location import parse_location

STATE = """SELECT
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
    (SELECT count(*) FROM pg_listening_channels()),
    current_setting('search_path'),
    pg_backend_pid()"""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A URL with which nobody else has connected."""
    joint = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{joint}application_name=kept-sessions"
    yield url
    while not (session := opened(url)).was_new:
        psycopg.Connection.close(session)
    psycopg.Connection.close(session)


def opened(url: str, kind: type[KeptSession] = KeptSession) -> KeptSession:
    connection = connect(parse_location(url), connection_class=kind)
    assert isinstance(connection, KeptSession)
    return connection


def state_of(session: KeptSession) -> tuple[object, ...]:
    row = session.execute(STATE, prepare=False).fetchone()
    assert row is not None
    return tuple(row)


def test_nothing_of_the_last_user_is_left(url: str) -> None:
    session = opened(url)
    new = state_of(session)
    session.send([Query("SELECT 1"), Query("SELECT pg_advisory_lock(7)")])
    session.send([Query("LISTEN somebody"), Query("SET search_path TO pg_catalog")])
    session.send([Query("CREATE TEMP TABLE mine (a int)")])
    assert state_of(session) != new
    session.close()
    assert session.closed
    again = opened(url)
    assert not again.was_new
    assert state_of(again) == new
    assert again.send([Query("SELECT 1")]) == [[(1,)]]
    again.close()


PREPARED = "SELECT count(*) FROM pg_prepared_statements"


def test_statements_stay_prepared(url: str) -> None:
    session = opened(url)
    session.send([Query("SELECT 1"), Query(PREPARED)])
    session.close()
    again = opened(url)
    assert again.send([Query("SELECT 1"), Query(PREPARED)]) == [[(1,)], [(2,)]]
    again.close()


def test_statements_that_psycopg_has_prepared_are_forgotten(url: str) -> None:
    for _ in range(2):
        session = opened(url)
        session.send([Query("SELECT 1")])
        assert session.execute("SELECT 2", prepare=True).fetchone() == (2,)
        session.close()
    again = opened(url)
    assert not again.was_new
    assert again.send([Query("SELECT 1"), Query(PREPARED)]) == [[(1,)], [(2,)]]
    again.close()


def test_a_session_with_many_statements_prepares_them_again(url: str) -> None:
    session = opened(url)
    session.send([Query(f"SELECT {number}") for number in range(200)])
    session.close()
    again = opened(url)
    assert not again.was_new
    assert again.send([Query("SELECT 1"), Query(PREPARED)]) == [[(1,)], [(2,)]]
    again.close()


def test_a_session_in_a_transaction_is_not_kept(url: str) -> None:
    session = opened(url)
    session.send([Query("BEGIN")])
    session.close()
    again = opened(url)
    assert again.was_new
    again.close()


def test_a_session_that_the_server_has_ended_is_not_kept(url: str) -> None:
    session = opened(url)
    with pytest.raises(psycopg.OperationalError):
        session.send([Query("SELECT pg_terminate_backend(pg_backend_pid())")])
    session.close()
    again = opened(url)
    assert again.was_new
    again.close()


def test_a_kept_session_steps_around_each_round_trip(url: str) -> None:
    opened(url).close()
    steps: list[int] = []
    session = opened(url, stepping(lambda: steps.append(1)))
    assert not session.was_new
    session.send([Query("SELECT 1")])
    assert len(steps) == 2
    session.close()
