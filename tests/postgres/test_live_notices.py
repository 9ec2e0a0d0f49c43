"""The notices of live values, when the connection or the follower goes away."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import psycopg
import pytest

from treadle.backends.live import values_in
from treadle.backends.postgres._live import LiveNotices
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.location import parse_location


class _Connection:
    """Passes on all that it is given, and is lost after the first."""

    def __init__(self, said: list[str]) -> None:
        self._said = said
        self.patience: object = None

    def send(self, queries: Sequence[Query]) -> None:
        self._said.extend(query.values["payload"] for query in queries if query.values)
        if len(self._said) == 1:
            raise psycopg.OperationalError("the connection is lost")


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveNotices]:
    """Notices whose threads do not begin."""
    monkeypatch.setattr(LiveNotices, "_start", lambda *_: None)
    opened = LiveNotices(parse_location("postgresql://nowhere/none"), call_seconds=1)
    yield opened
    opened.close()


def test_a_value_that_may_have_been_sent_is_not_sent_again(notices: LiveNotices) -> None:
    said: list[str] = []
    connection: Any = _Connection(said)
    notices.publish(("t", msgspec.Raw(b"1")))
    with pytest.raises(psycopg.OperationalError):
        notices._notify(connection)
    notices.publish(("t", msgspec.Raw(b"2")))
    notices._send(connection, notices.take())
    values = [bytes(value) for payload in said for _, value in values_in(payload, "other")]
    assert values == [b"1", b"2"]


async def test_a_follower_that_is_cancelled_while_it_begins_is_forgotten(
    notices: LiveNotices,
) -> None:
    following = asyncio.create_task(notices.follow("t"))
    await asyncio.sleep(0)
    assert notices._values.are_followed
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert not notices._values.are_followed
    notices.is_listening.set()
