"""Fixtures of the adapters' tests: empty stores of each kind, which go by the system's clock."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.frameworks.contracts import pytest_runtest_logreport, pytest_sessionfinish
from tests.postgres.schemas import SchemaPool
from treadle import Clock, system_clock

__all__ = ["pytest_runtest_logreport", "pytest_sessionfinish"]


@pytest.fixture
def clock() -> Clock:
    """The machine's clock, for `store`: the frameworks go by it, and leases are renewed."""
    return system_clock


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Returns the URL of another empty store of a kind, as often as it is called.

    The kinds are "memory", "files", "sqlite" and "postgres". A test that needs one store uses
    `store_url` and `tests.marks.every_backend`.
    """
    schemas: list[str] = []
    made = 0

    def make(kind: str) -> str:
        nonlocal made
        made += 1
        match kind:
            case "memory":
                return "memory:"
            case "files":
                return str(tmp_path / f"store-{made}")
            case "sqlite":
                return f"sqlite:///{tmp_path}/store-{made}.db"
            case "postgres":
                pool: SchemaPool = request.getfixturevalue("postgres_schemas")
                server: str = request.getfixturevalue("postgres_url")
                schemas.append(pool.take())
                return f"{server}{'&' if '?' in server else '?'}schema={schemas[-1]}"
            case _:
                raise AssertionError(kind)

    yield make
    for schema in schemas:
        request.getfixturevalue("postgres_schemas").give_back(schema)
