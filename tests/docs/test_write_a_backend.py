"""The guide to a backend works as it says, in a folder outside of this project."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-backend.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the guide has its reader write."""
    backend = [block for block in BLOCKS if "class OneFile(" in block or "SUBJECT =" in block]
    (tmp_path / "onefile.py").write_text("\n\n".join(backend))
    [test] = [block for block in BLOCKS if "class TestOneFile" in block]
    (tmp_path / "test_onefile.py").write_text(f"from onefile import SUBJECT\n{test}")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTEST_ADDOPTS": "", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def certify(folder: Path, target: str, *, status: int = 0) -> Any:
    done = run(folder, "-m", "weft", "certify", target, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_the_guide_s_backend_is_certified_with_the_fault_hook(folder: Path) -> None:
    report = certify(folder, "onefile:SUBJECT")
    assert report["certified"]
    assert report["declared"] == ["durable", "faults"]
    assert report["checks"]["failed"] == 0
    assert report["capabilities"]["durable"]["passed"] > 5
    assert report["capabilities"]["faults"]["passed"] > 0
    assert set(os.listdir(folder)) - {"__pycache__"} == {"onefile.py", "test_onefile.py"}


def test_the_guide_s_backend_is_found_out_when_it_writes_its_file_in_place(folder: Path) -> None:
    code = (folder / "onefile.py").read_text()
    sabotaged = code.replace('self._path.with_suffix(".new")', "self._path", 1)
    assert sabotaged != code
    (folder / "onefile.py").write_text(sabotaged)
    report = certify(folder, "onefile:SUBJECT", status=1)
    broken = {failure["breaks"] for failure in report["failures"]}
    assert "guarantee 1, all or nothing" in broken


def test_the_guide_s_test_class_runs(folder: Path) -> None:
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "runs or dies")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)
