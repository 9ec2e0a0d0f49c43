"""A plugin of pytest: LangGraph's own tests with our saver in the place of its SQLite savers."""

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from treadle import open_store
from treadle.integrations.langgraph import TreadleSaver


def pytest_collection_finish(session: pytest.Session) -> None:
    """Replace what makes the savers: the fixtures look it up when a test begins."""
    makers = sys.modules["tests.conftest"]
    makers._checkpointer_sqlite_aio = saver


@asynccontextmanager
async def saver() -> AsyncIterator[TreadleSaver]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(f"sqlite:///{folder}/checkpoints.db") as store:
            yield TreadleSaver(store)
