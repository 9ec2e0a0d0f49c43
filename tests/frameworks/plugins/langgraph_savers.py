"""A plugin of pytest: LangGraph's own tests with our saver in the place of its SQLite savers."""

import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

import treadle.blocking
from treadle.integrations.langgraph import TreadleSaver


def pytest_collection_finish(session: pytest.Session) -> None:
    """Replace what makes the savers: the fixtures look it up when a test begins."""
    makers = sys.modules["tests.conftest"]
    for name, maker in {
        "_checkpointer_sqlite": saver,
        "_checkpointer_sqlite_aes": encrypted_saver,
        "_checkpointer_sqlite_aio": asynchronous_saver,
    }.items():
        assert hasattr(makers, name)
        setattr(makers, name, maker)


@contextmanager
def saver() -> Generator[TreadleSaver]:
    """A saver in the place of `SqliteSaver`."""
    with new_store() as store:
        yield TreadleSaver(store, collection=new_name())


@contextmanager
def encrypted_saver() -> Generator[TreadleSaver]:
    """A saver in the place of `SqliteSaver` with a cipher."""
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"1234567890123456")
    with new_store() as store:
        yield TreadleSaver(store, serde=serde, collection=new_name())


@asynccontextmanager
async def asynchronous_saver() -> AsyncGenerator[TreadleSaver]:
    """A saver in the place of `AsyncSqliteSaver`."""
    with new_url() as url:
        async with treadle.open_store(url) as store:
            yield TreadleSaver(store, collection=new_name())


@contextmanager
def new_store() -> Generator[treadle.blocking.Store]:
    """A store that is empty, or in which nobody has used a new name."""
    with new_url() as url:
        with patch("uuid.uuid4", uuid4):  # tests count the ids that are given out
            store = treadle.blocking.open_store(url).open()
        with closing(store):
            yield store


@contextmanager
def new_url() -> Generator[str]:
    """The URL of `TREADLE_URL`, or of a new database file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoints.db"
        yield os.environ.get("TREADLE_URL", f"sqlite:///{path}")


def new_name() -> str:
    """A name for the collections of a saver."""
    return f"langgraph-{os.urandom(8).hex()}"
