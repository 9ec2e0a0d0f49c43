"""The site builds without a warning, and its reference has everything that is public.

This is a test rather than a step of `make check`, because a change to the code breaks the site as
often as one to the pages. It is one test, so that the site is built once.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

from sphinx.util.inventory import InventoryFile

from tests.docs.documents import DOCS
from treadle.core.commands import AnyCommand

MODULES = ("treadle", "treadle.worker", "treadle.testing", "treadle.integrations.openai_chat")


def build(site: Path) -> set[str]:
    """Build the site as `make docs` does, and return the names in its reference."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", str(DOCS), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    return {name for kind, names in inventory.data.items() if "py:" in kind for name in names}


def test_the_site_builds_and_its_reference_has_all_that_is_public(tmp_path: Path) -> None:
    documented = build(tmp_path)
    public = {f"{module}.{name}" for module in MODULES for name in import_module(module).__all__}
    commands = {f"{command.__module__}.{command.__name__}" for command in get_args(AnyCommand)}
    assert (public | commands) - documented == set()
