"""A session that is healthy is waited for, and only one that is lost is given up."""

from collections.abc import Iterator

import msgspec
import pytest

from treadle.backends._deadline import Deadline, Patience
from treadle.backends.postgres._connections import Connections
from treadle.backends.postgres._sessions import Session, SessionWatch, session_of
from treadle.backends.postgres.connection import Connection, connect
from treadle.backends.postgres.location import Location, parse_location


@pytest.fixture
def location(url: str) -> Location:
    return parse_location(url)


@pytest.fixture
def session(location: Location) -> Iterator[Session]:
    with connect(location) as connection:
        session = session_of(connection)
        assert session is not None
        yield session


def is_lost(location: Location, session: Session) -> bool:
    return SessionWatch(location, session).is_lost(Deadline.after(20))


def test_a_session_that_its_server_does_not_know_is_lost(
    location: Location, session: Session
) -> None:
    assert is_lost(location, msgspec.structs.replace(session, started=0.0))


def test_a_session_of_a_primary_that_another_has_replaced_is_lost(
    location: Location, session: Session
) -> None:
    assert is_lost(location, msgspec.structs.replace(session, started=0.0, server_started=0.0))


def test_a_session_of_a_standby_is_not_lost_because_another_server_does_not_know_it(
    location: Location, session: Session
) -> None:
    elsewhere = msgspec.structs.replace(session, started=0.0, server_started=0.0, is_standby=True)
    assert not is_lost(location, elsewhere)


def test_a_primary_s_session_is_not_lost_because_a_standby_does_not_know_it(
    session: Session,
) -> None:
    assert not session.may_be_known(0.0, is_standby=True)
    assert session.may_be_known(session.server_started, is_standby=True)


class Hasty(SessionWatch):
    """Takes every session for lost."""

    def is_lost(self, deadline: Deadline) -> bool:
        return True


def test_a_session_that_is_asked_about_early_has_as_long_as_usual_to_answer(
    location: Location, session: Session
) -> None:
    connections = Connections(location, Connection)
    with connections.hold(Patience.of(20)) as connection:
        connection.watch = Hasty(location, session)
    with connections.hold(Patience.of(20), 0.001) as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(0.1)").fetchone() == (1,)
    connections.close_idle()
