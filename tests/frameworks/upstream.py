"""Run the tests that a framework publishes, with our class in the place of its own.

The tests come with the source distribution of the installed version, which is downloaded once and
kept in the environment. They run in a child process, with their own configuration, and a plugin in
`tests/frameworks/plugins` replaces the class before they begin.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import portalocker

SDISTS = Path(sys.prefix) / "sdists"
PLUGINS = Path(__file__).parent / "plugins"
SOURCE = Path(__file__).parents[2] / "src"


class Outcome(NamedTuple):
    """How the tests of a suite ended, and how often our class was made."""

    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    made: int
    """How many objects of our class the tests have made."""
    output: str
    """What the child process wrote; show it when a count is wrong."""

    @property
    def total(self) -> int:
        """How many tests passed or failed."""
        return self.passed + len(self.failed)


def sdist(package: str, expected: str) -> Path:
    """The unpacked source of the installed version of a package, which must be the expected one."""
    assert version(package) == expected, f"the counts are those of {package} {expected}"
    SDISTS.mkdir(exist_ok=True)
    folder = SDISTS / f"{package.replace('-', '_')}-{expected}"
    with portalocker.Lock(SDISTS / ".lock"):
        if not folder.is_dir():
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            download += ["--no-binary", ":all:", "--no-build-isolation", f"{package}=={expected}"]
            subprocess.run([*download, "--dest", SDISTS], check=True, timeout=300)
            with tarfile.open(f"{folder}.tar.gz") as archive:
                archive.extractall(SDISTS, filter="data")
    return folder


def run_suite(
    folder: Path,
    arguments: Sequence[str],
    *,
    plugin: str,
    counted: str,
    results: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> Outcome:
    """Run pytest in the folder of a suite.

    Args:
        folder: where the suite's configuration is.
        arguments: files to run, and options.
        plugin: a module in `tests/frameworks/plugins` that replaces the class.
        counted: our class, as "module:Class".
        results: an empty folder for what the child process writes.
        environment: further variables of the environment.
        timeout: in seconds.
    """
    report, count = results / "report.xml", results / "count"
    count.touch()
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, PLUGINS))),
        "TREADLE_COUNTED": counted,
        "TREADLE_COUNT": str(count),
        **(environment or {}),
    }
    for name in [name for name in variables if name.startswith("PYTEST_")]:
        del variables[name]  # of the process that runs this test
    command = [sys.executable, "-m", "pytest", "-p", plugin, "-p", "counting", "-p"]
    command += ["no:cacheprovider", "-q", f"--junit-xml={report}", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert report.is_file(), done.stdout
    return _read(report, count.stat().st_size, done.stdout)


def _read(report: Path, made: int, output: str) -> Outcome:
    passed, failed, skipped = 0, list[str](), list[str]()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed += 1
    return Outcome(passed, tuple(sorted(failed)), tuple(sorted(skipped)), made, output)
