"""Fixtures: a clock that is moved by hand, and a store, in memory unless a test says otherwise."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from treadle import Store, open_store
from treadle.testing.clock import ManualClock

settings.register_profile(
    "treadle",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("soak", settings.get_profile("treadle"), max_examples=2_000)
settings.load_profile("treadle")


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `store`, in unix milliseconds."""
    return ManualClock()


@pytest.fixture
def store_url(request: Any, tmp_path: Path) -> Iterator[str]:
    """A URL of an empty store, in memory; see `tests.marks.every_backend`."""
    kind = getattr(request, "param", "memory")
    urls = {
        "memory": "memory:",
        "files": str(tmp_path / "store"),
        "sqlite": f"sqlite:///{tmp_path}/store.db",
    }
    if kind != "postgres":
        yield urls[kind]
        return
    server = request.getfixturevalue("postgres_url")
    schemas = request.getfixturevalue("postgres_schemas")
    name = schemas.take()
    yield f"{server}{'&' if '?' in server else '?'}schema={name}"
    schemas.give_back(name)


@pytest.fixture
async def store(store_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with open_store(store_url, clock=clock) as opened:
        yield opened
