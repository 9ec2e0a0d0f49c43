"""The guide for contributors names files and commands that exist."""

import re

from tests.tidy.tree import ROOT, SOURCE

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = (SOURCE, SOURCE / "backends", ROOT)


def test_every_file_and_folder_that_the_guide_names_exists() -> None:
    named = set(re.findall(r"`([\w.-]+/[\w./-]*)`", GUIDE)) - {"build/docs"}
    assert len(named) > 15
    assert [name for name in named if not any((each / name).exists() for each in FOLDERS)] == []


def test_every_command_that_the_guide_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", GUIDE))
    assert named <= targets
    assert targets - {"setup", "help"} <= named | {"clean"}
