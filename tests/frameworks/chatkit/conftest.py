"""A store for ChatKit on a store of each kind."""

import pytest

from tests.frameworks.chatkit.requests import User
from treadle import Store
from treadle.integrations.chatkit import TreadleChatKitStore


@pytest.fixture
def chats(store: Store) -> TreadleChatKitStore[User]:
    """A store for ChatKit that is empty."""
    return TreadleChatKitStore(store, owner=lambda user: user.id)
