"""Runs the Python in README.md and docs/ as tests, each document in an empty folder of its own.

A block may use ``await`` at its top level, as in ``python -m asyncio``; the blocks of one document
share their names and one event loop. ``<!-- skip: next -->`` leaves the next block out.
"""

import ast
import asyncio
import inspect
import os
import tempfile
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser


def evaluate(example: Example) -> None:
    """Run one block, on the document's event loop if it awaits something."""
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


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser(language="python", evaluator=evaluate), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    excludes=["docs/decisions/*"],
    setup=set_up,
    teardown=tear_down,
).pytest()
