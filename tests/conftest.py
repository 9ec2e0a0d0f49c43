"""Fixtures: a clock that is moved by hand, and a store on each backend."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres.server import Server
from weft import Store, open_store
from weft.testing.clock import ManualClock

settings.register_profile(
    "weft", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("weft")


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `store`, in unix milliseconds."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: that of `WEFT_TEST_POSTGRES`, or one of our own, one for each worker."""
    given = os.environ.get("WEFT_TEST_POSTGRES")
    if given:
        yield given
    else:
        with Server() as server:
            yield server.url


@pytest.fixture(params=["memory", "files", "sqlite"])
def store_url(request: Any, tmp_path: Path) -> str:
    """A URL of each kind of store, empty."""
    urls = {
        "memory": "memory:",
        "files": str(tmp_path / "store"),
        "sqlite": f"sqlite:///{tmp_path}/store.db",
    }
    return urls[request.param]


@pytest.fixture
async def store(store_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    """An open, empty store of each kind."""
    async with open_store(store_url, clock=clock) as opened:
        yield opened
