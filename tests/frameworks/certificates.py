"""Results of suites, for the table of docs/reference/certified.md.

Each test that runs a suite on a backend records its counts in a file in build/certified, which
`tests/frameworks/certified_page.py` reads.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parents[2] / "build" / "certified"


class Certificate(msgspec.Struct, frozen=True):
    """The result of a suite on a backend."""

    framework: str
    """Its name for people, and what of it we implement: "LangGraph checkpointer"."""
    versions: dict[str, str]
    """The packages that the suite and the interface are from."""
    suite: str
    """The suite, for people."""
    backend: str
    """"memory", "files", "sqlite" or "postgres"."""
    passed: int
    total: int


def certify(
    framework: str, packages: Sequence[str], suite: str, backend: str, *, passed: int, total: int
) -> None:
    """Record how many tests of a suite passed on a backend, with the installed versions.

    Call it after the counts are asserted. A suite of ours has a name that says so.
    """
    versions = {package: version(package) for package in packages}
    result = Certificate(framework, versions, suite, backend, passed, total)
    name = re.sub(r"\W+", "-", f"{framework} {suite} {backend}".lower())
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_bytes(msgspec.json.encode(result))
