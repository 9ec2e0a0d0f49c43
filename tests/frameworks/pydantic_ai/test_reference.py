"""The tests of the contract hold for PydanticAI's own store, too."""

import pytest
from pydantic_ai.conversation_store import ConversationStore, InMemoryConversationStore

from tests.frameworks.pydantic_ai import test_contract

globals().update(
    {name: test for name, test in vars(test_contract).items() if name.startswith("test_")}
)


@pytest.fixture
def conversations() -> ConversationStore:
    """PydanticAI's store."""
    return InMemoryConversationStore()
