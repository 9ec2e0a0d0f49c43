"""The files of this repository, as text."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "treadle"
FOLDERS = ("src", "tests", "docs", "benchmarks")
NOT_OURS = {".coverage", ".git", "LICENSE"}
TEXTS = {".md", ".py", ".sql", ".toml", ""}
"""The suffixes of files with text that somebody wrote; `Makefile` has none."""


def name_of(path: Path) -> str:
    """Return the path of a file in the repository, as messages show it."""
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> list[Path]:
    """Return all Python files in some folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def texts() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file that somebody wrote."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in sorted([*files, *ROOT.glob("*")]):
        if path.is_file() and path.suffix in TEXTS and path.name not in NOT_OURS:
            yield name_of(path), path.read_text(encoding="utf-8")


def module_of(path: Path) -> str:
    """Return the name of the module in a file of the package."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    """Return the names of all modules of the package."""
    return frozenset(map(module_of, python_files("src")))


def imported_by(code: str) -> Iterator[str]:
    """Yield each module of this package that the code imports, or imports a name from."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                inner = {f"{module}.{name.name}" for name in names}
                found = sorted(inner & modules()) or [module]
            case _:
                continue
        yield from (name for name in found if name.split(".")[0] == "treadle")
