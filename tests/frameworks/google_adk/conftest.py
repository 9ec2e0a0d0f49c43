"""A session service on a store of each kind."""

from collections.abc import Callable

import pytest

from treadle import Store
from treadle.integrations.google_adk import TreadleSessionService


@pytest.fixture
def service(store: Store) -> TreadleSessionService:
    """A session service on an empty store."""
    return TreadleSessionService(store)


@pytest.fixture
def another(store: Store) -> Callable[[], TreadleSessionService]:
    """Returns another session service on the same store: it shares no memory with `service`."""
    return lambda: TreadleSessionService(store)
