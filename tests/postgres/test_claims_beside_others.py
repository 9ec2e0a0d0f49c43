"""A claim beside others: what it gives out can be explained by one order of them all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import psycopg
import pytest

from treadle import Store, open_store
from treadle.backends.postgres.location import parse_location

BY_A_CLAIM = "SELECT 1 FROM mailboxes WHERE mailbox_id = %s FOR NO KEY UPDATE"
BY_A_COMMIT = "SELECT 1 FROM mailboxes WHERE mailbox_id = %s FOR UPDATE"
both_limits = pytest.mark.parametrize("limit", [1, 2])


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store with an entry in each of three mailboxes, in this order."""
    async with open_store(url, migrate=True) as opened:
        for mailbox in ("first", "second", "third"):
            await opened.mailboxes.send(mailbox, 1)
        yield opened


class Held(Protocol):
    """Locks a mailbox as a claim or a commit does, until the block ends."""

    def __call__(self, mailbox_id: str, how: str) -> AbstractAsyncContextManager[None]: ...


@pytest.fixture
def held(url: str) -> Held:
    location = parse_location(url)

    @asynccontextmanager
    async def hold(mailbox_id: str, how: str) -> AsyncIterator[None]:
        async with await psycopg.AsyncConnection.connect(location.conninfo) as connection:
            await connection.execute(location.qualify(how).encode(), (mailbox_id,))
            yield
            await connection.rollback()

    return hold


async def claim(store: Store, limit: int) -> list[str]:
    entries = await store.mailboxes.claim(limit=limit, consumer="w", lease_ms=60_000)
    return [entry.mailbox_id for entry in entries]


async def waiting(call: "asyncio.Future[Any]") -> bool:
    """Whether it waits; shorter than claims wait for commits."""
    await asyncio.wait({call}, timeout=0.15)
    return not call.done()


@both_limits
async def test_a_claim_waits_for_a_commit_behind_another_claim(
    store: Store, held: Held, limit: int
) -> None:
    async with held("first", BY_A_CLAIM):
        async with held("second", BY_A_COMMIT):
            claiming = asyncio.ensure_future(claim(store, limit))
            assert await waiting(claiming)
        assert await asyncio.wait_for(claiming, 10) == ["second", "third"][:limit]


@both_limits
async def test_a_claim_goes_past_the_mailboxes_of_another_claim(
    store: Store, held: Held, limit: int
) -> None:
    async with held("first", BY_A_CLAIM):
        assert await asyncio.wait_for(claim(store, limit), 10) == ["second", "third"][:limit]


@both_limits
async def test_a_claim_that_finds_nothing_waits_for_another_claim(
    store: Store, held: Held, limit: int
) -> None:
    """The other one may have locked more than it takes."""
    assert await claim(store, 3) == ["first", "second", "third"]
    await store.mailboxes.send("fourth", 1)
    async with held("fourth", BY_A_CLAIM):
        claiming = asyncio.ensure_future(claim(store, limit))
        assert await waiting(claiming)
    assert await asyncio.wait_for(claiming, 10) == ["fourth"]


@both_limits
async def test_a_claim_gives_what_is_free_beside_what_is_kept_for_long(
    store: Store, held: Held, limit: int
) -> None:
    async with held("first", BY_A_CLAIM), held("second", BY_A_COMMIT):
        assert await asyncio.wait_for(claim(store, limit), 10) == ["third"]
