"""The guide to a backend works as described, in a folder outside of this project."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from tests.docs.documents import document
from treadle import Store, StoreUnavailable, Thread

BLOCKS = re.findall(r"```python\n(.*?)```", document("how-to/write-a-backend.md"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with the files that a reader of the guide writes."""
    backend = [block for block in BLOCKS if "class OneFile(" in block or "SUBJECT =" in block]
    (tmp_path / "onefile.py").write_text("\n\n".join(backend))
    [test] = [block for block in BLOCKS if "class TestOneFile" in block]
    (tmp_path / "test_onefile.py").write_text(f"from onefile import SUBJECT\n{test}")
    return tmp_path


def change(folder: Path, *changes: tuple[str, str]) -> None:
    """Change the code of the backend."""
    code = (folder / "onefile.py").read_text()
    for before, after in changes:
        assert code.count(before) == 1, before
        code = code.replace(before, after)
    (folder / "onefile.py").write_text(code)


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the folder, with the stores in memory where there is such a file system.

    The guide's backend syncs its file for each commit; on a disk these tests take twice as long.
    Its tests need no plugin, and to import those that are installed here takes a second.
    """
    memory = Path("/dev/shm")
    settings = {"TMPDIR": str(memory)} if memory.is_dir() else {}
    settings["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", "NO_COLOR": "1", **settings},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run_tests(folder: Path, which: str) -> "subprocess.CompletedProcess[str]":
    """Run some of the checks with the test class of the guide."""
    return run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", which)


def certify(folder: Path, target: str, *, status: int = 0) -> Any:
    done = run(folder, "-m", "treadle", "certify", target, "--json")
    assert done.returncode == status, done.stdout or done.stderr
    return json.loads(done.stdout)


def test_the_guide_s_backend_is_certified_with_the_fault_hook(folder: Path) -> None:
    report = certify(folder, "onefile:SUBJECT")
    assert report["certified"]
    assert report["declared"] == ["durable", "faults"]
    assert report["checks"]["failed"] == 0
    assert report["capabilities"]["durable"]["passed"] > 5
    assert report["capabilities"]["faults"]["passed"] > 0
    assert set(os.listdir(folder)) - {"__pycache__"} == {"onefile.py", "test_onefile.py"}


def test_the_guide_s_backend_fails_when_it_overwrites_its_file(folder: Path) -> None:
    change(folder, ('self._path.with_suffix(".new")', "self._path"))
    done = run_tests(folder, "dies")
    assert done.returncode == 1
    assert "guarantee 1, all or nothing" in done.stdout


def test_a_sync_after_the_replace_is_not_found_as_the_guide_says(folder: Path) -> None:
    sync, replace = "            os.fsync(file.fileno())\n", "        os.replace(new, self._path)\n"
    late = f"{replace}        with self._path.open('rb') as file:\n{sync}"
    change(folder, (sync, ""), (replace, late))
    done = run_tests(folder, "dies")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d passed", done.stdout)


def test_the_guide_s_test_class_runs(folder: Path) -> None:
    done = run_tests(folder, "runs")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


async def test_the_guide_s_backend_raises_store_unavailable_when_the_disk_refuses(
    folder: Path,
) -> None:
    make = run_path(str(folder / "onefile.py"))["OneFile"]
    obstacle = folder / "store.new"
    async with Store(make(folder)) as store:
        await store.threads.create(Thread(id="t"))
        obstacle.mkdir()
        with pytest.raises(StoreUnavailable) as caught:
            await store.threads.create(Thread(id="u"))
        assert isinstance(caught.value.__cause__, OSError)
        assert (await store.threads.list()).items == ("t",)
        obstacle.rmdir()
        await store.threads.create(Thread(id="u"))
        assert (await store.threads.list()).items == ("t", "u")
