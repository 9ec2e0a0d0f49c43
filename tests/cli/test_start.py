"""Imports: the library and the command import only what they need."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BACKENDS = ("files", "memory", "postgres", "sql", "sqlite")
NOT_IMPORTED = {f"treadle.backends.{name}" for name in BACKENDS} | {
    *("portalocker", "psycopg", "psycopg_pool", "sqlite3"),
    *("rich", "treadle.testing", "treadle.worker"),
}


def modules_after(program: str) -> set[str]:
    """Run a program, and return the names of the modules that it has imported."""
    report = "import atexit, json, sys; atexit.register(lambda: print(json.dumps([*sys.modules])))"
    child = subprocess.run(
        [sys.executable, "-c", f"{report}\n{program}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(child.stdout.splitlines()[-1]))


def test_importing_the_library_imports_no_backend_no_driver_and_no_terminal() -> None:
    assert modules_after("import treadle") & {*NOT_IMPORTED, "click"} == set()


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_import_no_backend_no_driver_and_no_command(option: str) -> None:
    program = f"import sys; sys.argv[1:] = [{option!r}]\nfrom treadle.cli import main; main()"
    imported = modules_after(program)
    assert imported & NOT_IMPORTED == set()
    assert [name for name in imported if name.startswith("treadle.cli.commands.")] == []


def test_a_store_imports_the_backend_that_its_url_names(tmp_path: Path) -> None:
    program = f"import treadle; treadle.open_store({str(tmp_path)!r})"
    unneeded = {"treadle.backends.sqlite", "treadle.backends.postgres", "sqlite3", "psycopg"}
    imported = modules_after(program)
    assert "treadle.backends.files" in imported
    assert imported & unneeded == set()
