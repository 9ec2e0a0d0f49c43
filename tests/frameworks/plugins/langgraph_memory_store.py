"""A plugin of pytest: tests of `InMemoryStore` with our store in its place."""

import sys
from contextlib import ExitStack
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

import treadle.blocking
from treadle.integrations.langgraph import TreadleStore

STORES = ExitStack()


class Replaced(InMemoryStore):
    """Makes one of our stores, or LangGraph's if it has to have an index of vectors."""

    def __new__(cls, *, index: Any = None) -> Any:
        """Return a store that has nothing in it."""
        if index is not None:
            return InMemoryStore(index=index)
        return TreadleStore(STORES.enter_context(treadle.blocking.open_store("memory:")))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Replace the name that the tests use."""
    for name, module in list(sys.modules.items()):
        if name.endswith("test_store") and hasattr(module, "InMemoryStore"):
            vars(module)["InMemoryStore"] = Replaced


def pytest_sessionfinish() -> None:
    """Close all stores."""
    STORES.close()
