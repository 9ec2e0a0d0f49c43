"""`treadle certify`."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.support import run, run_json
from treadle.testing.conformance import SUITE

SHORT = tuple(check for check in SUITE if check.facet == "runs" or check.needs == {"durable"})[:40]
MODULE = """
from treadle.backends.base import Capabilities
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.run_queries import ListRuns
from treadle.testing import Subject

class Boastful(MemoryBackend):
    capabilities = Capabilities(durable=True, shared=False, notifies=False)

class Unsorted(MemoryBackend):
    async def read(self, query):
        answer = await super().read(query)
        if not isinstance(query, ListRuns):
            return answer
        return type(answer)(
            items=answer.items[::-1], total=answer.total, has_more=answer.has_more
        )

def make(folder, clock):
    return MemoryBackend(clock)

def make_unsorted(folder, clock):
    return Unsorted(clock)

def make_boastful(folder, clock):
    return Boastful(clock)

SUBJECT = Subject(make=make)
NOTHING = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a backend; the suite is shortened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("treadle.testing.certification.SUITE", SHORT)
    (tmp_path / "a_backend.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("target", ["memory:", "a_backend:make", "a_backend:SUBJECT"])
def test_a_url_a_function_and_a_subject_are_certified(target: str) -> None:
    report = run_json("certify", target)
    assert report["certified"] is True
    assert report["declared"] == []
    assert report["checks"]["ran"] == report["facets"]["runs"]["passed"] > 30
    assert report["checks"]["not_declared"] == report["capabilities"]["durable"]["not_declared"] > 0
    assert report["failures"] == []


def test_stores_are_created_in_the_folder_and_removed(folder: Path) -> None:
    report = run_json("certify", "./scratch")
    assert report["declared"] == ["durable", "faults", "notifies", "shared"]
    assert report["checks"]["not_declared"] == 0
    assert list((folder / "scratch").iterdir()) == []


def test_a_broken_rule_is_named(folder: Path) -> None:
    result = run("certify", "a_backend:make_unsorted")
    assert result.exit_code == 1
    assert "FAILED runs/listings: runs are listed: oldest first, then by id" in result.stdout
    assert "breaks guarantee 17, listings are complete" in result.stdout
    assert "found ['a', 'c', 'd', 'b'], where ['b', 'd', 'c', 'a'] was due" in result.stdout
    assert re.search(r"at listings\.py:\d+: expect\(", result.stdout)
    assert re.search(r"a_backend:make_unsorted is not certified: \d+ checks failed", result.stderr)


def test_a_declared_capability_that_the_backend_lacks_is_a_failure() -> None:
    result = run("certify", "a_backend:make_boastful", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["certified"] is False
    assert report["capabilities"]["durable"]["failed"] > 0


def test_the_report_counts_the_checks_that_ran_and_those_that_did_not() -> None:
    lines = run("certify", "memory:").stdout.splitlines()
    assert lines[0].split("\t") == ["facet", "passed", "failed", "not run"]
    assert "durable\tno\t0\t0\t" in "\n".join(lines)
    total = re.fullmatch(
        r"memory:: (\d+) checks ran, \1 passed, 0 failed; (\d+) did not run, because their "
        r"capability is not declared",
        lines[-1],
    )
    assert total
    assert int(total[1]) + int(total[2]) == len(SHORT)


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("a_backend:nobody", "has no 'nobody'"),
        ("a_backend", "to certify a backend, write a_backend:NAME; to use a folder, ./a_backend"),
        ("nowhere:make", "there is no module 'nowhere'"),
        ("a_backend:NOTHING", "does not create a backend"),
        ("nosuch:", "there is no backend for 'nosuch'"),
        ("memory:x", "takes nothing after it"),
    ],
)
def test_an_invalid_target_is_an_error_with_advice(target: str, advice: str) -> None:
    result = run("certify", target)
    assert result.exit_code == 1
    assert advice in result.stderr


def test_a_folder_that_cannot_be_created_is_an_error(folder: Path) -> None:
    (folder / "file").write_text("")
    result = run("certify", "./file/scratch")
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: the folder file/scratch cannot be created: ")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hypothesis", None)
    result = run("certify", "memory:")
    assert result.exit_code == 1
    assert "pip install '.[cli,testing]'" in result.stderr
