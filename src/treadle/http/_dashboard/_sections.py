"""The sections of the dashboard, as the navigation has them."""

from typing import NamedTuple


class Section(NamedTuple):
    """A part of the dashboard with a page of its own."""

    name: str
    """The first segment of its paths; empty for the first page."""
    title: str
    key: str
    """The key that leads there, after `g`."""
    is_for_all: bool = False
    """It is about all owners, so that who has one does not get there."""


SECTIONS = (
    Section("", "Overview", "o"),
    Section("threads", "Threads", "t"),
    Section("mailboxes", "Mailboxes", "m", is_for_all=True),
    Section("entries", "Entries", "e", is_for_all=True),
    Section("runs", "Runs", "r"),
    Section("documents", "Documents", "d"),
    Section("workers", "Workers", "w", is_for_all=True),
)


def sections_for(*, all_owners: bool) -> list[Section]:
    """Return the sections for a principal that sees all owners, or only its own."""
    return [each for each in SECTIONS if all_owners or not each.is_for_all]
