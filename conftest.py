"""Run the code in README.md and docs/ as tests, each document in a new, empty folder.

A block of Python may use ``await`` at its top level, as in ``python -m asyncio``; the blocks of one
document share their names and one event loop. A block of Python or TOML that begins with a comment
such as ``# agent.py`` is saved as that file instead. A ``console`` block is run by a shell
(``tests/docs/console.py``). Code that cannot run, because it needs a network for example, is in a
block of another language, such as ``sh``; the definitions in the reference are ``py``.
"""

import ast
import asyncio
import gc
import inspect
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.integration.pytest import pytest_integration as collect_documents
from sybil.parsers.markdown import CodeBlockParser
from tests.distribution import Distribution, run_and_report
from tests.docs.console import Shell, commands_of
from tests.postgres.schemas import SchemaPool, pool_of
from tests.postgres.server import Server

from treadle.testing.builtin_subjects import remove_postgres, schema_of

_MEMORY = Path("/dev/shm")
# On a disk the tests mostly wait for syncs, which prove nothing here: they kill processes, and what
# a process has written outlives it without one. The pages of the docs run on the disk.
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

_LONG = (
    "test_all_tests_of_langgraph",
    "test_the_sdks_tests",
    "test_all_tests_of_the_store_on_sqlite",
    "test_the_guide_s_backend_is_certified",
    "test_a_part_shows_its_table",
    "random_histories",
    "test_schemathesis_finds_nothing",
    "test_a_conversation_by_the_client",
    "test_conversations_are_answered_in_their_order",
    "test_histories_are_made_of_every_command",
)
"""Parts of the names of the tests that take five seconds and more, the longest first."""

_numbers = itertools.count()
"""Of the folders of this process."""
_tests = itertools.count(1)
"""The tests that this process has run."""
BETWEEN_FREEZES = 200
"""So many tests are run before what they have left is frozen."""


def run_earlier(example: Example) -> None:
    """Run the blocks that come before this one, if it was chosen without them."""
    done = example.namespace.setdefault("__done__", set())
    done.add(example.line)
    for earlier in example.document.examples():
        if earlier.line < example.line and earlier.line not in done:
            earlier.evaluate()


def run_console(example: Example) -> str | None:
    """Run the commands of a block; return what is wrong with the first that fails, or None."""
    run_earlier(example)
    shell = example.namespace.get("__shell__")
    if shell is None:
        shell = example.namespace["__shell__"] = Shell(Path.cwd())
    wrongs = (shell.run(command, shown) for command, shown in commands_of(example.parsed))
    return next(filter(None, wrongs), None)


def save(example: Example) -> bool:
    """Save a block that begins with a file's name as that file; return False for any other."""
    name = re.match(r"# ([\w/]+\.(?:py|toml))\n", example.parsed)
    if name is not None:
        Path(name[1]).write_text(example.parsed, encoding="utf-8")
    return name is not None


def run_toml(example: Example) -> None:
    """Save a block that is a file."""
    run_earlier(example)
    save(example)


def run_python(example: Example) -> None:
    """Save a block that is a file; run any other, on the document's event loop if it awaits."""
    run_earlier(example)
    if save(example):
        return
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
    """Move to an empty folder, so that a document may open ``./agents`` and import its files."""
    namespace["__runner__"] = asyncio.Runner()
    namespace["__home__"] = os.getcwd()
    namespace["__folder__"] = folder = tempfile.TemporaryDirectory()
    os.chdir(folder.name)
    sys.path.insert(0, folder.name)


def tear_down(namespace: dict[str, Any]) -> None:
    """End the shell, close the loop, go back and remove the folder."""
    if "__shell__" in namespace:
        namespace["__shell__"].close()
    namespace["__runner__"].close()
    os.chdir(namespace["__home__"])
    folder = namespace["__folder__"]
    sys.path.remove(folder.name)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(folder.name):
            del sys.modules[name]
    folder.cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while the tests are collected: all that is created stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run all blocks of a document, in their order, and begin with what is long.

    A long test at the end would run alone, while the other processes have nothing left to do.
    """
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Keep what was collected, and what is garbage now, out of the garbage collector's way.

    Tests that look for what is left behind collect garbage themselves, which would read thirteen
    thousand tests again and again. Otherwise it seldom runs: it would find little to free.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def _freeze() -> None:
    """Free what is garbage, and keep all else out of the garbage collector's way from now on."""
    gc.collect()
    gc.freeze()


def _turn(item: pytest.Item) -> int:
    """Return 0 for a test in a group; the others follow, the longest first."""
    if item.path.suffix == ".md" or item.get_closest_marker("xdist_group") is not None:
        return 0
    longest = (number for number, part in enumerate(_LONG, 1) if part in item.name)
    return next(longest, len(_LONG) + 1)


@pytest.hookimpl(optionalhook=True)  # of xdist, which runs no tests without -n
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution:
    """Distribute the tests as `Distribution` does."""
    return Distribution(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Have a process of xdist send few messages."""
    if not hasattr(item.config, "workerinput"):
        return None
    run_and_report(item, nextitem)
    if next(_tests) % BETWEEN_FREEZES == 0:
        _freeze()  # what tests have left in caches, too
    return True


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder.

    pytest's fixture reads the names of all folders before it, to number the next: thousands.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(_numbers)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: that of `TREADLE_TEST_POSTGRES`, or one that each worker starts."""
    given = os.environ.get("TREADLE_TEST_POSTGRES")
    if given:
        yield given
    else:
        with Server() as server:
            yield server.url


@pytest.fixture(scope="session")
def postgres_schemas(postgres_url: str) -> Iterator[SchemaPool]:
    """Schemas on that server that the tests of this worker take turns with."""
    schemas = pool_of(postgres_url)
    yield schemas
    schemas.drop_all()


@pytest.fixture(scope="session")
def postgres_page(postgres_url: str) -> Iterator[None]:
    """Set the environment variables that the pages about PostgreSQL use."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", postgres_url)
        joint = "&" if "?" in postgres_url else "?"
        environment.setenv("STORE_URL", f"{postgres_url}{joint}schema={schema_of(Path(place))}")
        yield
        remove_postgres(postgres_url, [Path(place)])


_PARSERS = (
    CodeBlockParser(language="python", evaluator=run_python),
    CodeBlockParser(language="toml", evaluator=run_toml),
    CodeBlockParser(language="console", evaluator=run_console),
)
_WITH_SERVERS = "docs/how-to/build-a-chat-service.md"  # tests/docs/test_chat_service.py runs it
_ON_POSTGRES = ["docs/how-to/deploy-on-postgresql.md", "docs/how-to/move-between-backends.md"]
pytest_collect_file = collect_documents(
    Sybil(
        parsers=_PARSERS,
        patterns=["README.md", "docs/*.md", "docs/*/*.md", "docs/how-to/frameworks/*.md"],
        excludes=["docs/decisions/*", *_ON_POSTGRES, _WITH_SERVERS],
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
