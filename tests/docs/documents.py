"""The documents, as text."""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def document(name: str) -> str:
    """A document, by its path in `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")
