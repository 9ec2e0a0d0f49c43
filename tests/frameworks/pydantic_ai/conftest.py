"""A conversation store on a store of each kind."""

from collections.abc import AsyncIterator

import pytest
from pydantic_ai.conversation_store import ConversationStore

from treadle import Store, open_store
from treadle.integrations.pydantic_ai import TreadleConversationStore


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store that goes by the system's clock."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def conversations(store: Store) -> ConversationStore:
    """An empty conversation store."""
    return TreadleConversationStore(store)
