"""One browser for all tests; each test has pages of its own, in which nothing may go wrong.

Where there is no Chromium, the tests are skipped; with TREADLE_BROWSER=required, as in `.ci/run`,
they fail. They share an event loop, as a browser belongs to one.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.routing import Mount

import treadle
import treadle.http
from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.chromium import NoBrowser, launched
from tests.http.dashboard.browser.example import opened_example
from tests.http.dashboard.browser.serving import served
from tests.http.dashboard.example_store import few_scripts
from treadle import Store
from treadle.http import Principal

Serve: TypeAlias = Callable[..., Awaitable[str]]

expect.set_options(timeout=15_000)  # a busy machine shows things late

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run these tests, in one event loop, so that one browser is enough."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    try:
        async with launched() as browser:
            yield browser
    except NoBrowser as error:
        if os.environ.get("TREADLE_BROWSER") == "required":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest_asyncio.fixture(loop_scope="session")
async def store() -> AsyncIterator[Store]:
    """An empty store in memory."""
    async with treadle.open_store("memory:") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def example() -> AsyncIterator[Store]:
    """The example store, which no test changes."""
    async with opened_example(few_scripts()) as store:
        yield store


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncIterator[Serve]:
    """Serve the dashboard of a store, to an administrator if nobody else is named."""
    async with AsyncExitStack() as stack:

        async def serve(
            store: Store,
            principal: Principal | None = None,
            *,
            tokens: Mapping[str, Principal] | None = None,
            below: str = "",
        ) -> str:
            everyone = treadle.http.everyone(principal or treadle.http.admin("ada"))
            authenticate = everyone if tokens is None else treadle.http.tokens(tokens)
            app: Any = treadle.http.dashboard(store, authenticate=authenticate)
            if below:
                app = Starlette(routes=[Mount(below, app)])
            return await stack.enter_async_context(served(app)) + below

        yield serve


@pytest_asyncio.fixture(loop_scope="session")
async def browsing(chromium: Browser, serve: Serve, store: Store) -> AsyncIterator[Browsing]:
    """Open pages with this; at the end there must be no problem but those that it expects.

    The pages are closed before the servers, which else would wait for their streams, and before the
    store, which they may still ask for.
    """
    pages = Browsing(chromium)
    yield pages
    await pages.close()
    assert pages.faults() == []
