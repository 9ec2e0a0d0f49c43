"""A store for ChatKit on a store of each kind."""

from collections.abc import AsyncIterator

import pytest

from tests.frameworks.chatkit.requests import User
from treadle import Store, open_store
from treadle.integrations.chatkit import TreadleChatKitStore


@pytest.fixture
async def real_store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store that goes by the system's clock, as ChatKit does."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def chats(real_store: Store) -> TreadleChatKitStore[User]:
    """A store for ChatKit that is empty."""
    return TreadleChatKitStore(real_store, owner=lambda user: user.id)
