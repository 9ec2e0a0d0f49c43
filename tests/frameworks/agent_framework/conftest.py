"""A history provider and a checkpoint storage on a store of each kind."""

from collections.abc import AsyncIterator

import pytest

from tests.frameworks.agent_framework.values import TYPES
from treadle import Store, open_store
from treadle.integrations.agent_framework import TreadleCheckpointStorage, TreadleHistoryProvider


@pytest.fixture
async def real_store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store that goes by the system's clock, as the framework does."""
    async with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def storage(real_store: Store) -> TreadleCheckpointStorage:
    """An empty checkpoint storage."""
    return TreadleCheckpointStorage(real_store, allowed_checkpoint_types=TYPES)


@pytest.fixture
def history(real_store: Store) -> TreadleHistoryProvider:
    """A history provider without messages."""
    return TreadleHistoryProvider(real_store)
