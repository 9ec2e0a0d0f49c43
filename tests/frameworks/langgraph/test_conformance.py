"""LangGraph's conformance suite for checkpointers, on every backend."""

from collections.abc import AsyncGenerator, Callable

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate

from tests.frameworks.certificates import certify
from treadle import open_store
from treadle.integrations.langgraph import TreadleSaver

COUNTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}
PACKAGES = ["langgraph-checkpoint", "langgraph-checkpoint-conformance"]


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite", "postgres"])
async def test_the_saver_passes_all_checks(kind: str, new_url: Callable[[str], str]) -> None:
    @checkpointer_test(name="TreadleSaver")
    async def new_saver() -> AsyncGenerator[BaseCheckpointSaver[str]]:
        async with open_store(new_url(kind), migrate=True) as store:
            yield TreadleSaver(store)

    report = await validate(new_saver)
    failures = [failure for result in report.results.values() for failure in result.failures]
    assert failures == []
    assert {name: result.tests_passed for name, result in report.results.items()} == COUNTS
    total = sum(COUNTS.values())
    assert total == 81
    certify(
        "LangGraph checkpointer",
        PACKAGES,
        "langgraph-checkpoint-conformance",
        kind,
        passed=total,
        total=total,
    )
