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
}
"""What a store holds that people know, and what one of each is called."""


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def counted_rows(rows: Mapping[str, int]) -> str:
    """How many of each kind there are, those of which there are none left out."""
    present = [(kind, one) for kind, one in _ROWS.items() if rows.get(kind)]
    return ", ".join(counted(rows[kind], one, kind) for kind, one in present) or "nothing"
