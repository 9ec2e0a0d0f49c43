"""A history provider and a checkpoint storage on a store of each kind."""

import pytest

from tests.frameworks.agent_framework.values import TYPES
from treadle import Store
from treadle.integrations.agent_framework import TreadleCheckpointStorage, TreadleHistoryProvider


@pytest.fixture
def storage(store: Store) -> TreadleCheckpointStorage:
    """An empty checkpoint storage."""
    return TreadleCheckpointStorage(store, allowed_checkpoint_types=TYPES)


@pytest.fixture
def history(store: Store) -> TreadleHistoryProvider:
    """A history provider without messages."""
    return TreadleHistoryProvider(store)
