"""Counts in words: `1 thread`, `2 threads, 5 messages`."""

from collections.abc import Mapping

_ROWS = {
    "threads": "thread",
    "messages": "message",
    "patches": "patch",
    "deltas": "delta",
    "runs": "run",
    "mailboxes": "mailbox",
    "entries": "entry",
    "documents": "document",
}
"""The rows of a store that users know, and the singular of each."""


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Return a number with its noun: `1 thread`, `2 threads`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def counted_rows(rows: Mapping[str, int]) -> str:
    """Return the counts of all kinds of rows, without those of which there are none."""
    present = [(kind, one) for kind, one in _ROWS.items() if rows.get(kind)]
    return ", ".join(counted(rows[kind], one, kind) for kind, one in present) or "nothing"
