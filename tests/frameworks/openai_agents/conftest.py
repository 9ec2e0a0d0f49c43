"""A store of each kind, and a session in it."""

import pytest
from agents import set_tracing_disabled

from treadle import Store
from treadle.integrations.openai_agents import TreadleSession

set_tracing_disabled(True)


@pytest.fixture
def session(store: Store) -> TreadleSession:
    """A session on an empty thread."""
    return TreadleSession("chat", store)
