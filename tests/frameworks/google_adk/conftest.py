"""A session service on a store of each kind."""

from collections.abc import AsyncIterator, Callable

import pytest

from treadle import Store, open_store
from treadle.integrations.google_adk import TreadleSessionService


@pytest.fixture
async def real_store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store that goes by the system's clock, as ADK does."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def service(real_store: Store) -> TreadleSessionService:
    """A session service on an empty store."""
    return TreadleSessionService(real_store)


@pytest.fixture
def another(real_store: Store) -> Callable[[], TreadleSessionService]:
    """Returns another session service on the same store: it shares no memory with `service`."""
    return lambda: TreadleSessionService(real_store)
