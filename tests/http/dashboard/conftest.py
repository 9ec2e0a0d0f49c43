"""Clients that see the dashboard of a store, in process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import httpx
import pytest

import treadle
import treadle.http
from tests.http.clients_in_process import client
from treadle.store.store import Store

See: TypeAlias = Callable[..., Any]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """A store in memory: pages ask the store, which answers alike on every backend.

    The conformance suite shows that, and `lint-imports` that `treadle.http` imports no backend. One
    test crawls all pages of a store on SQLite, with damage that none in memory has.
    """
    async with treadle.open_store("memory:") as opened:
        yield opened


@pytest.fixture
async def see(store: Store) -> AsyncIterator[See]:
    """Return a function that makes the browser of a principal; `dashboard`'s options may follow."""
    async with AsyncExitStack() as stack:

        async def make(principal: treadle.http.Principal, **options: Any) -> httpx.AsyncClient:
            options.setdefault("authenticate", treadle.http.everyone(principal))
            app = treadle.http.dashboard(store, **options)
            return await stack.enter_async_context(client(app))

        yield make


@pytest.fixture
async def admin(see: See) -> httpx.AsyncClient:
    browser: httpx.AsyncClient = await see(treadle.http.admin("ops"))
    return browser


@pytest.fixture
async def alice(see: See) -> httpx.AsyncClient:
    browser: httpx.AsyncClient = await see(treadle.http.user("alice"))
    return browser
