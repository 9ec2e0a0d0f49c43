"""A plugin of pytest: tests of `InMemoryStore` with our store in its place, at `TREADLE_URL`."""

import os
import sys
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

import treadle.blocking
from treadle.integrations.langgraph import TreadleStore

STORES = ExitStack()


@cache
def opened() -> treadle.blocking.Store:
    """The store, in which each test has a collection of its own."""
    return STORES.enter_context(treadle.blocking.open_store(os.environ["TREADLE_URL"]))


class Replaced(InMemoryStore):
    """Makes one of our stores, or LangGraph's if it has to have an index of vectors."""

    def __new__(cls, *, index: Any = None) -> Any:
        """Return a store that has nothing in it."""
        if index is not None:
            return InMemoryStore(index=index)
        return TreadleStore(opened(), collection=f"store-{os.urandom(8).hex()}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Replace the name that the tests use."""
    for name, module in list(sys.modules.items()):
        if name.endswith("test_store") and hasattr(module, "InMemoryStore"):
            vars(module)["InMemoryStore"] = Replaced


def pytest_sessionfinish() -> None:
    """Close the store."""
    STORES.close()
