"""The tables name the versions that `make integrations` installs, and those that extras allow."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.docs.documents import document

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))


def test_the_versions_in_the_table_are_those_that_are_installed() -> None:
    group = project()["dependency-groups"]["integrations"]
    installed = dict(each.split("==") for each in group if "==" in each)
    page, _, _ = document("reference/certified.md").partition("<!-- end -->")
    named = re.findall(r"(?:\| |<br>)([a-z-]+) (\d[\w.]*)(?= \||<br>)", page)
    assert len(named) > 5
    assert {name: version for name, version in named if installed.get(name) != version} == {}


def test_the_oldest_versions_that_were_tried_are_those_that_the_extras_allow() -> None:
    _, _, tried = document("reference/certified.md").partition("## Versions that were tried")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", tried, re.MULTILINE))
    assert len(rows) > 5
    extras = project()["project"]["optional-dependencies"]
    for extra, oldest in rows.items():
        versions = dict(each.split(" ") for each in oldest.split(", "))
        allowed = dict(each.split(">=") for each in extras[extra])
        assert versions.keys() == allowed.keys()
        for package, version in versions.items():
            assert f"{version}.".startswith(f"{allowed[package]}."), package
