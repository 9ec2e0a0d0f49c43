"""The modules that the pages show pass `mypy --strict`, as a reader's own do."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.docs.documents import DOCS
from tests.tidy.tree import ROOT

MODULE = re.compile(r"^```python\n(# (\w+\.py)\n.*?)^```", re.DOTALL | re.MULTILINE)
FRAMEWORKS = DOCS / "how-to" / "frameworks"  # their pages need packages that are not installed here
UNTYPED = ("--allow-untyped-defs", "--allow-untyped-calls", "--check-untyped-defs")
"""For tests, whose functions people seldom annotate; mypy checks their bodies nevertheless."""


def modules() -> dict[str, dict[str, str]]:
    """Return the modules that each page saves, by their names."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        if FRAMEWORKS in page.parents:
            continue
        for code, name in MODULE.findall(page.read_text(encoding="utf-8")):
            found[str(page.relative_to(ROOT))][name] = code
    return found


MODULES = modules()


def errors_of(folder: Path, names: Iterable[str], *options: str) -> str:
    """Return what mypy says of some modules of a folder, without any configuration."""
    cache = ROOT / ".mypy_cache" / "pages"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--cache-dir", str(cache), *options, *sorted(names)),
        ],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def is_test(name: str) -> bool:
    return name.startswith("test_") or name == "conftest.py"


@pytest.mark.xdist_group("types-of-pages")  # the first fills the cache for the others
@pytest.mark.parametrize("page", MODULES)
def test_the_modules_of_a_page_are_typed(page: str, tmp_path: Path) -> None:
    for name, code in MODULES[page].items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    tests = {name for name in MODULES[page] if is_test(name)}
    assert errors_of(tmp_path, MODULES[page].keys() - tests) == ""
    assert not tests or errors_of(tmp_path, tests, *UNTYPED) == ""


def test_a_fault_in_a_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text('number: int = "one"\n', encoding="utf-8")
    assert 'variable has type "int"' in errors_of(tmp_path, ["wrong.py"])
