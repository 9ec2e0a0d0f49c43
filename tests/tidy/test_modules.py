"""Modules are small, and their names say what is in them and who may import them."""

from collections.abc import Iterable

from tests.tidy.tree import imported_by, module_of, name_of, python_files

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


def test_a_private_module_is_imported_in_its_own_folder_only() -> None:
    strangers = [
        f"{importer} imports {imported}"
        for importer, imported in imports()
        if not is_visible(imported, importer)
    ]
    assert not strangers, "\n".join(["", *strangers])


def test_a_private_module_is_visible_below_the_folder_that_has_it() -> None:
    assert is_visible("a.b._c", "a.b")
    assert is_visible("a.b._c", "a.b.d")
    assert is_visible("a.b._c.e", "a.b.d.f")
    assert not is_visible("a.b._c", "a")
    assert not is_visible("a.b._c.e", "a.d")
    assert is_visible("a.b.c", "d")


def imports() -> Iterable[tuple[str, str]]:
    """Yield each module of the package, with each module that it imports."""
    for path in python_files("src"):
        for imported in imported_by(path.read_text(encoding="utf-8")):
            yield module_of(path), imported


def is_visible(imported: str, importer: str) -> bool:
    """Return True if no part of the imported name is private to another folder."""
    parts = imported.split(".")
    folders = [parts[:index] for index, part in enumerate(parts) if part.startswith("_")]
    return all(importer.split(".")[: len(folder)] == folder for folder in folders)
