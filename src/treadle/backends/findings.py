"""What an examination of a store reports, wherever the store keeps its data."""

import msgspec

from treadle.core.codec import Model


class Finding(Model, frozen=True, kw_only=True):
    """Something that is not as it should be.

    `path` says where: a file, relative to the store's folder, or the nouns and ids of a row.
    """

    path: str
    reason: str


class Report(Model, frozen=True, kw_only=True):
    """The result of an examination: how much was read, and what was found."""

    records: int
    """How many threads, runs, mailbox entries, mailboxes and documents were read."""
    rows: dict[str, int] = msgspec.field(default_factory=dict)
    """The number of rows by table; empty if there are no tables."""
    findings: tuple[Finding, ...]


def escape(text: str) -> str:
    """Return text that can be encoded, from text or from the name of a file that is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
