"""Each decision is in the list of decisions, and its page needs no source that readers lack."""

import re

from tests.tidy.tree import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("0*.md"))


def test_the_list_has_each_page_under_its_title() -> None:
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \[(\d{4})\]\((.+)\) \| (.+) \|$", listed, re.MULTILINE)
    assert found == [(page.name[:4], page.name, title_of(page.name)[1]) for page in PAGES]


def test_the_title_of_a_page_begins_with_its_number() -> None:
    assert [page.name for page in PAGES if int(page.name[:4]) != title_of(page.name)[0]] == []


def test_no_page_refers_to_issues_which_readers_cannot_see() -> None:
    pattern = re.compile(r"\bissue \d", re.IGNORECASE)
    assert [page.name for page in PAGES if pattern.search(page.read_text(encoding="utf-8"))] == []


def title_of(name: str) -> tuple[int, str]:
    """Return the number and the title of a page."""
    first = (FOLDER / name).read_text(encoding="utf-8").split("\n", 1)[0]
    found = re.fullmatch(r"# (\d+)\. (.+)", first)
    assert found, f"{name} begins with {first!r}"
    return int(found[1]), found[2]
