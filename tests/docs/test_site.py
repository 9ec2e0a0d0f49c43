"""The site builds without a warning, and its reference has everything that is public.

This is a test rather than a step of `make check`, because a change to the code breaks the site as
often as one to the pages. It is one test, so that the site is built once.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from sphinx.util.inventory import InventoryFile

from tests.docs.documents import DOCS

MODULES = (
    "treadle",
    "treadle.blocking",
    "treadle.commands",
    "treadle.queries",
    "treadle.patches",
    "treadle.worker",
    "treadle.http",
    "treadle.testing",
    "treadle.backends.base",
    "treadle.backends.memory",
    "treadle.backends.model",
    "treadle.integrations.openai_chat",
    "treadle.integrations.anthropic_messages",
)


def build(site: Path) -> set[str]:
    """Build the site as `make docs` does, and return the names of the definitions in it.

    Its theme is left out: it takes half of the time, and changes no reference.
    Names are without their modules: some are public in two, and documented in one.
    """
    options = ("--quiet", "--fail-on-warning", "-D", "html_theme=basic")
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    kinds = ("class", "data", "exception", "function", "type")
    return {name.rpartition(".")[2] for kind in kinds for name in inventory.data[f"py:{kind}"]}


def test_the_site_builds_and_its_reference_has_all_that_is_public(tmp_path: Path) -> None:
    documented = build(tmp_path)
    for name in MODULES:
        assert set(import_module(name).__all__) - documented == set(), name
