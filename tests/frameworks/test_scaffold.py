"""The tests of the adapters count what they run: these are tests of the counting."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks import certificates
from tests.frameworks.certificates import certify
from tests.frameworks.processes import run_together
from tests.frameworks.upstream import run_suite, sdist
from treadle import open_store

SUITE = """
from string import Template
import pytest

def test_one():
    assert Template("a").substitute() == "a"

def test_two():
    Template("b")
    assert False

@pytest.mark.skip
def test_three():
    Template("c")
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_the_tests_of_a_suite_and_the_objects_they_make_are_counted(
    tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    outcome = run_suite(
        tmp_path,
        ["test_it.py", *options],
        plugin="counting",
        counted="string:Template",
        results=tmp_path,
    )
    assert (outcome.passed, outcome.total, outcome.made) == (1, 2, 2), outcome.output
    assert outcome.failed == ("test_it::test_two",)
    assert outcome.skipped == ("test_it::test_three",)


def test_the_source_of_another_version_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"the counts are those of langgraph 0\.1"):
        sdist("langgraph", "0.1")


def test_the_source_of_the_installed_version_has_its_tests() -> None:
    assert (sdist("langgraph", "1.2.24") / "tests").is_dir()


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite", "postgres"])
async def test_new_urls_are_those_of_empty_stores(kind: str, new_url: Callable[[str], str]) -> None:
    async with open_store(new_url(kind)) as one, open_store(new_url(kind)) as other:
        await one.mailboxes.send("m", 1)
        assert (await one.mailboxes.count_entries()).queued == 1
        assert (await other.mailboxes.count_entries()).queued == 0


def test_processes_run_together() -> None:
    outputs = run_together("platform")
    assert len(outputs) == 4
    assert outputs[0].strip()


def test_a_result_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "FOLDER", tmp_path)
    certify("A framework", ["pytest"], "its suite", "sqlite", passed=3, total=4)
    [file] = tmp_path.iterdir()
    found = json.loads(file.read_bytes())
    assert (found["passed"], found["total"], found["backend"]) == (3, 4, "sqlite")
    assert set(found["versions"]) == {"pytest"}
