"""A store in memory, and clients that call its API in process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

import treadle
import treadle.http
from tests.http.clients_in_process import client_of
from treadle.store.store import Store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with treadle.open_store("memory:") as opened:
        yield opened


Connect = Callable[..., Any]


@pytest.fixture
async def connect(store: Store) -> AsyncIterator[Connect]:
    """Return a function that makes a client of a principal; `app`'s options may follow."""
    async with AsyncExitStack() as stack:

        async def make(principal: treadle.http.Principal, **options: Any) -> httpx.AsyncClient:
            return await stack.enter_async_context(client_of(store, principal, **options))

        yield make


@pytest.fixture
async def admin(connect: Connect) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await connect(treadle.http.admin("ops"))
    return client


@pytest.fixture
async def alice(connect: Connect) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await connect(treadle.http.user("alice"))
    return client
