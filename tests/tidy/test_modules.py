"""Modules are small, and their names say what is in them."""

from tests.tidy.tree import name_of, python_files

LONGEST = 500
"""Lines of a Python file."""

VAGUE = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}


def test_no_python_file_is_long() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files("src", "tests", "benchmarks")
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    files = python_files("src", "tests", "benchmarks")
    assert [name_of(path) for path in files if VAGUE & set(path.with_suffix("").parts)] == []
