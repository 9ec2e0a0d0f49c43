"""The lines of Markdown are broken so that a page reads well as text, too."""

import re
from collections.abc import Iterator
from itertools import pairwise

from tests.tidy.tree import texts

WIDTH = 120
"""The most characters that a line of a paragraph has."""
SHORT = 40
"""A line with fewer is broken badly if the first word of the next line fits on it."""

_FENCE = re.compile(r"\s*(```|~~~)")
_BLOCK = re.compile(r"\s*(#|\||:::|<|\{|-{3,}$|>|!\[|$)")
_ITEM = re.compile(r"\s*([-*+]|\d+\.)\s")


def test_no_line_of_a_paragraph_is_longer_than_others() -> None:
    found = [
        f"{name}:{number}: {len(line)} characters"
        for name, paragraph in paragraphs()
        for number, line in paragraph
        if len(line) > WIDTH
    ]
    assert not found, "\n".join(["", *found])


def test_no_line_ends_after_a_few_words() -> None:
    found = [
        f"{name}:{number}: {line.strip()!r} is alone on a line"
        for name, paragraph in paragraphs()
        for (number, line), (_, following) in pairwise(paragraph)
        if len(line) < SHORT and not line.endswith((":", "  ")) and following.strip()[0].isalpha()
        if len(line) + len(following.split()[0]) < WIDTH - SHORT
    ]
    assert not found, "\n".join(["", *found])


def paragraphs() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield the paragraphs and items of each page that somebody wrote, with the lines' numbers."""
    for name, text in texts():
        if name.endswith(".md") and not name.startswith("docs/reference/"):
            for paragraph in _paragraphs_of(text):
                yield name, paragraph


def _paragraphs_of(text: str) -> Iterator[list[tuple[int, str]]]:
    paragraph: list[tuple[int, str]] = []
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        is_fence = _FENCE.match(line) is not None
        is_other = is_code or is_fence or _BLOCK.match(line) is not None
        is_code ^= is_fence
        if paragraph and (is_other or _ITEM.match(line)):
            yield paragraph
            paragraph = []
        if not is_other:
            paragraph.append((number, line))
    if paragraph:
        yield paragraph
