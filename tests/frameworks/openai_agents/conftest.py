"""A store of each kind, and a session in it."""

from collections.abc import AsyncIterator

import pytest
from agents import set_tracing_disabled

from treadle import Store, open_store
from treadle.integrations.openai_agents import TreadleSession

set_tracing_disabled(True)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store that goes by the system's clock."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def session(store: Store) -> TreadleSession:
    """A session on an empty thread."""
    return TreadleSession("chat", store)
