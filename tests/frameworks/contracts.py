"""Contracts of frameworks whose own tests are in no package: a test of ours for each of theirs.

The contract of a framework is `tests/frameworks/<framework>/test_contract*.py`, whose tests run on
every backend. Their results are recorded for the table of docs/reference/certified.md.
"""

import re
from collections import Counter
from typing import NamedTuple

import pytest

from tests.frameworks.certificates import certify


class Contract(NamedTuple):
    """A contract, as the table shows it."""

    framework: str
    packages: tuple[str, ...]
    tests: int
    """How many tests it has, on each backend."""
    suite: str = "our tests, one for each of its own"
    """What the tests are, for people."""


CONTRACTS = {
    "agent_framework/test_contract_checkpoints.py": Contract(
        "Agent Framework, checkpoints", ("agent-framework-core",), 21
    ),
    "agent_framework/test_contract_history.py": Contract(
        "Agent Framework, history", ("agent-framework-core",), 17
    ),
    "chatkit/test_contract.py": Contract("ChatKit, store", ("openai-chatkit",), 16),
    "chatkit/test_contract_server.py": Contract("ChatKit, server", ("openai-chatkit",), 22),
    "google_adk/test_contract.py": Contract("Google ADK, sessions", ("google-adk",), 49),
    "pydantic_ai/test_contract.py": Contract(
        "PydanticAI, conversations",
        ("pydantic-ai-slim",),
        26,
        "our tests, of what its interface documents",
    ),
}
"""By the path of the module, below this folder."""
_TEST = re.compile(r"tests/frameworks/(\w+/test_contract\w*\.py)::.*\[(\w+)")
_total, _passed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count a test of a contract; with xdist, the process that gets all reports counts."""
    found = _TEST.match(report.nodeid)
    if found is None or (report.when != "call" and not report.failed):
        return
    key = (found[1], found[2])
    _total[key] += 1
    _passed[key] += report.passed


def pytest_sessionfinish() -> None:
    """Record the results of the contracts that ran as a whole."""
    for (module, backend), total in _total.items():
        contract = CONTRACTS[module]
        if total == contract.tests:
            certify(
                contract.framework,
                contract.packages,
                contract.suite,
                backend,
                passed=_passed[module, backend],
                total=total,
            )
