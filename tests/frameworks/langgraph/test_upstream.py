"""LangGraph's own tests, with our saver and our store in the places of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks.certificates import certify
from tests.frameworks.upstream import Outcome, run_suite, sdist
from treadle import open_store

VERSION = "1.2.24"
TESTS = 1_040
SAMPLE = "(sqlite or sqlite_aio) and not aes and (fork or interrupt_multiple)"
SAMPLED = 7
OPTIONS = ["-p", "no:asyncio", "--override-ini", "addopts="]
# These make a store with an index, which they need SQLite's extensions for.
WITH_VECTORS = [
    f"{file}.py::{test}"
    for file, tests in {
        "test_store": """
            test_vector_store_initialization test_vector_insert_with_auto_embedding
            test_vector_update_with_embedding test_vector_search_with_filters
            test_vector_search_pagination test_vector_search_edge_cases test_embed_with_path
            test_embed_with_path_operation_config test_scores test_basic_store_operations
            test_list_namespaces_operations test_search_items test_non_ascii
        """,
        "test_async_store": """
            test_vector_store_initialization test_vector_insert_with_auto_embedding
            test_vector_update_with_embedding test_vector_search_with_filters
            test_vector_search_pagination test_vector_search_edge_cases test_embed_with_path
            test_basic_store_ops test_list_namespaces test_search_items
        """,
    }.items()
    for test in tests.split()
]


@pytest.mark.timeout(900)
def test_all_tests_of_langgraph_that_use_sqlite_savers_pass(tmp_path: Path) -> None:
    folder = sdist("langgraph", VERSION)
    outcome = run(folder, ["tests"], tmp_path / "first")
    assert outcome.total == TESTS, outcome.output
    assert outcome.made >= TESTS - 10, "a few tests share a saver"
    passed = outcome.passed
    if outcome.failed:
        # Some tests expect that their tasks end within 10 ms, which a busy machine may not keep.
        again = run(folder, [path_of(name) for name in outcome.failed], tmp_path / "again")
        assert not again.failed, outcome.output + again.output
        passed += again.passed
    assert passed == TESTS
    certify(
        "LangGraph checkpointer",
        ["langgraph"],
        "langgraph's own tests",
        "sqlite",
        passed=passed,
        total=TESTS,
    )


@pytest.mark.parametrize("kind", ["memory", "files", "postgres"])
async def test_a_sample_of_these_tests_passes_on_the_other_backends(
    kind: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True):
        pass  # it has its schema now
    tests = ["tests/test_pregel.py", "tests/test_pregel_async.py"]
    outcome = await asyncio.to_thread(
        run, sdist("langgraph", VERSION), tests, tmp_path / "results", SAMPLE, url
    )
    assert outcome.failed == (), outcome.output
    assert outcome.passed == SAMPLED, outcome.output
    assert outcome.made == SAMPLED
    certify(
        "LangGraph checkpointer",
        ["langgraph"],
        "a sample of langgraph's own tests",
        kind,
        passed=SAMPLED,
        total=SAMPLED,
    )


def run(
    folder: Path, tests: list[str], results: Path, chosen: str = "sqlite", url: str = ""
) -> Outcome:
    results.mkdir()
    return run_suite(
        folder,
        [*OPTIONS, "-k", chosen, *tests],
        plugin="langgraph_savers",
        counted="treadle.integrations.langgraph:TreadleSaver",
        results=results,
        environment={"NO_DOCKER": "true", **({"TREADLE_URL": url} if url else {})},
    )


def path_of(name: str) -> str:
    """Return what pytest calls a test that its report calls `name`."""
    module, _, test = name.partition("::")
    return f"{module.replace('.', '/')}.py::{test}"


# --- the store ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite", "postgres"])
async def test_all_tests_of_the_store_in_memory_pass_but_one(
    kind: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True):
        pass  # it has its schema now
    results = tmp_path / "results"
    results.mkdir()
    outcome = await asyncio.to_thread(
        run_suite,
        sdist("langgraph-checkpoint", "4.3.2"),
        ["--override-ini", "addopts=", "tests/test_store.py"],
        plugin="langgraph_memory_store",
        counted="treadle.integrations.langgraph:TreadleStore",
        results=results,
        environment={"TREADLE_URL": url},
    )
    # It counts the calls of a method of LangGraph's own class.
    spy = ("tests.test_store::test_async_batch_store_deduplication",)
    assert outcome.failed == spy, outcome.output
    assert outcome.passed == 116, outcome.output
    assert outcome.made >= 60
    certify(
        "LangGraph store",
        ["langgraph-checkpoint"],
        "langgraph-checkpoint's tests of its store in memory",
        kind,
        passed=116,
        total=117,
    )


def test_all_tests_of_the_store_on_sqlite_pass_that_need_no_vectors(tmp_path: Path) -> None:
    outcome = run_suite(
        sdist("langgraph-checkpoint-sqlite", "3.1.2"),
        [
            *("--override-ini", "addopts="),
            *(f"--deselect=tests/{name}" for name in WITH_VECTORS),
            *(f"tests/test_{name}.py" for name in ("store", "async_store", "ttl")),
        ],
        plugin="langgraph_sqlite_stores",
        counted="treadle.integrations.langgraph:TreadleStore",
        results=tmp_path,
    )
    assert outcome.failed == (), outcome.output
    assert outcome.passed == 116, outcome.output
    assert outcome.made >= 100
    certify(
        "LangGraph store",
        ["langgraph-checkpoint-sqlite"],
        "langgraph-checkpoint-sqlite's tests of its stores, without vectors",
        "sqlite",
        passed=116,
        total=116,
    )
