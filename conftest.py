"""Runs the Python in README.md and docs/ as tests, each document in an empty folder of its own.

A block may use ``await`` at its top level, as in ``python -m asyncio``; the blocks of one document
share their names and one event loop. ``<!-- skip: next -->`` leaves the next block out.
"""

import ast
import asyncio
import inspect
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.integration.pytest import pytest_integration as collect_documents
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from tests.postgres.server import Server

from weft.testing.own import remove_postgres, schema_of


def evaluate(example: Example) -> None:
    """Run one block, on the document's event loop if it awaits something.

    Blocks that come before it and have run in another process are run here too.
    """
    done = example.namespace.setdefault("__done__", set())
    done.add(example.line)
    for earlier in example.document.examples():
        is_block = isinstance(earlier.parsed, str)
        if earlier.line < example.line and is_block and earlier.line not in done:
            earlier.evaluate()
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, example.path, "exec", flags=flags, dont_inherit=True)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, example.namespace)
        return

    async def run() -> None:
        await eval(code, example.namespace)

    example.namespace["__runner__"].run(run())


def set_up(namespace: dict[str, Any]) -> None:
    """Move to an empty folder, so that a document may open ``./agents``."""
    namespace["__runner__"] = asyncio.Runner()
    namespace["__home__"] = os.getcwd()
    namespace["__folder__"] = folder = tempfile.TemporaryDirectory()
    os.chdir(folder.name)


def tear_down(namespace: dict[str, Any]) -> None:
    """Close the loop, go back and remove the folder."""
    namespace["__runner__"].close()
    os.chdir(namespace["__home__"])
    namespace["__folder__"].cleanup()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: that of `WEFT_TEST_POSTGRES`, or one of our own, one for each worker."""
    given = os.environ.get("WEFT_TEST_POSTGRES")
    if given:
        yield given
    else:
        with Server() as server:
            yield server.url


@pytest.fixture(scope="session")
def postgres_page(postgres_url: str) -> Iterator[None]:
    """What the pages about PostgreSQL find in the environment."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", postgres_url)
        joint = "&" if "?" in postgres_url else "?"
        environment.setenv("STORE_URL", f"{postgres_url}{joint}schema={schema_of(Path(place))}")
        yield
        remove_postgres(postgres_url, [Path(place)])


_PARSERS = (CodeBlockParser(language="python", evaluator=evaluate), SkipParser())
_ON_POSTGRES = ["docs/how-to/deploy-on-postgresql.md"]
pytest_collect_file = collect_documents(
    Sybil(
        parsers=_PARSERS,
        patterns=["README.md", "docs/*.md", "docs/**/*.md"],
        excludes=["docs/decisions/*", *_ON_POSTGRES],
        setup=set_up,
        teardown=tear_down,
    ),
    Sybil(
        parsers=_PARSERS,
        patterns=_ON_POSTGRES,
        setup=set_up,
        teardown=tear_down,
        fixtures=["postgres_page"],
    ),
)
