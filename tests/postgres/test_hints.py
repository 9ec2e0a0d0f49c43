"""Hints on PostgreSQL: they come with notices, and "anything" comes where notices may be lost."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import psycopg
import pytest
from psycopg import sql

from tests.postgres.activity import until_listening
from treadle import Hint, Message, Store, Thread, open_store
from treadle.backends.postgres._notices import _hints_in, payloads_of
from treadle.backends.postgres.location import parse_location
from treadle.core.hints import ANYTHING
from treadle.testing._harness.listening import Listener, listening

SOON_SECONDS = 20
THREAD = Hint(kind="thread", id="t")
END_LISTENERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN%%' AND position(%s IN query) > 0
"""


@asynccontextmanager
async def heard_from(url: str) -> AsyncGenerator[tuple[Store, Listener[Hint]]]:
    """Listen to the thread `t` during the block, which begins when the server knows that."""
    async with open_store(url) as store, listening(store.changes(thread_id="t")) as heard:
        await until_listening(url)
        await heard.until_quiet(0.5)
        yield store, heard


async def execute(url: str, statement: sql.SQL | sql.Composed, *values: str) -> None:
    location = parse_location(url)
    async with await psycopg.AsyncConnection.connect(location.conninfo, autocommit=True) as other:
        await other.execute(statement, values or None)


async def test_a_lost_connection_gives_anything(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treadle.testing._harness.listening.SOON_SECONDS", SOON_SECONDS)
    async with heard_from(url) as (_, heard):
        await execute(url, sql.SQL(END_LISTENERS), parse_location(url).schema)
        await heard.until(lambda hints: ANYTHING in hints)


DEEP = f'["a",[],{"[" * 3_900}{"]" * 3_900}]'


@pytest.mark.parametrize(
    "payload",
    ["", "hi", '["a",[["thread"]]]', '["a",[["nothing","t"]]]', pytest.param(DEEP, id="deep")],
)
async def test_a_notice_of_somebody_else_is_anything(url: str, payload: str) -> None:
    async with heard_from(url) as (_, heard):
        channel = sql.Identifier(parse_location(url).channel)
        notify = sql.SQL("NOTIFY {}, {}").format(channel, sql.Literal(payload))
        await execute(url, notify)
        await heard.until(lambda hints: ANYTHING in hints)


def test_a_deep_notice_of_somebody_else_is_anything_and_no_error() -> None:
    assert _hints_in(DEEP, "me") == {ANYTHING}


async def test_a_transaction_of_the_caller_gives_its_hints_when_it_commits(url: str) -> None:
    async with heard_from(url) as (store, heard):
        await store.threads.create(Thread(id="t"))
        await heard.until_quiet(0.5)
        location = parse_location(url)
        async with await psycopg.AsyncConnection.connect(location.conninfo) as connection:
            async with store.batch(connection=connection) as step:
                step.threads.append("t", Message.user("hi"))
            assert await heard.until_quiet() == []
            await connection.commit()
        await heard.until(lambda hints: THREAD in hints)


async def test_without_notices_anything_comes_now_and_then(url: str) -> None:
    async with (
        open_store(f"{url}&listen=off") as store,
        aclosing(store.changes(thread_id="t")) as hints,
        asyncio.timeout(SOON_SECONDS),
    ):
        assert [await anext(hints) for _ in range(3)] == [ANYTHING] * 3


def test_many_hints_are_divided_between_notices_and_too_many_are_anything() -> None:
    hints = {Hint(kind="thread", id=f"{number:0100}") for number in range(500)}
    payloads = payloads_of(hints, "me")
    assert 1 < len(payloads) <= 10
    assert max(len(payload.encode()) for payload in payloads) < 8_000
    assert set().union(*(_hints_in(payload, "you") for payload in payloads)) == hints
    assert set().union(*(_hints_in(payload, "me") for payload in payloads)) == set()
    many = {Hint(kind="thread", id=f"{number:0200}") for number in range(1_000)}
    assert _hints_in(payloads_of(many)[0], "you") == {ANYTHING}
    assert payloads_of(set()) == []
