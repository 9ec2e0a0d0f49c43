"""The code explains itself where a reader wonders: neither without comments nor full of them."""

import re
import tokenize
from functools import cache
from pathlib import Path

from tests.tidy.tree import name_of, python_files

FEWEST, MOST = 4, 15
"""Comments in a thousand lines of the package."""

_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pyright:)")


def test_comments_are_neither_rare_nor_everywhere() -> None:
    files = python_files("src")
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    comments = sum(map(count_comments, files))
    assert FEWEST <= comments * 1_000 / lines <= MOST, f"{comments} comments in {lines} lines"


def test_no_file_is_hidden_behind_its_comments() -> None:
    crowded = {name_of(path): count_comments(path) for path in python_files("src")}
    assert {name: count for name, count in crowded.items() if count > 25} == {}


@cache
def count_comments(path: Path) -> int:
    """Count the lines with a comment for people, and not for a tool."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return sum(not _DIRECTIVE.match(comment) for comment in comments)
