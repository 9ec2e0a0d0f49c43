"""A conversation store on a store of each kind."""

import pytest
from pydantic_ai.conversation_store import ConversationStore

from treadle import Store
from treadle.integrations.pydantic_ai import TreadleConversationStore


@pytest.fixture
def conversations(store: Store) -> ConversationStore:
    """An empty conversation store."""
    return TreadleConversationStore(store)
