"""The wheel is small, and has all that it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
LARGEST_WHEEL = 1_500_000
"""Bytes. Everybody who installs Treadle loads the conformance suite and its recordings, too."""

COUNT_RECORDINGS = """
import json
from treadle.testing._harness.recorded import load_patches, load_scenarios
print(json.dumps([len(load_patches()), sum(len(each.calls) for each in load_scenarios().values())]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST_WHEEL


def test_an_installed_wheel_has_the_recordings(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COUNT_RECORDINGS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == [2_000, 4_800]


def test_the_wheel_has_the_templates_and_files_of_the_dashboard(wheel: Path) -> None:
    folder = ROOT / "src" / "treadle" / "http" / "_dashboard"
    files = [*(folder / "templates").iterdir(), *(folder / "static").iterdir()]
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert {each.relative_to(ROOT / "src").as_posix() for each in files} <= packed
