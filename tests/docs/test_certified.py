"""The table of results names the versions that `make integrations` installs."""

import re
import tomllib
from pathlib import Path

from tests.docs.documents import document

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_versions_in_the_table_are_those_that_are_installed() -> None:
    group = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["dependency-groups"]["integrations"]
    installed = dict(each.split("==") for each in group if "==" in each)
    page = document("reference/certified.md")
    named = re.findall(r"(?:\| |<br>)([a-z-]+) (\d[\w.]*)(?= \||<br>)", page)
    assert len(named) > 5
    assert {name: version for name, version in named if installed.get(name) != version} == {}
