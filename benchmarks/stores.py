"""Where Treadle keeps things in a run: a URL in which `{folder}` stands for a fresh folder."""

from pathlib import Path

from treadle.backends.urls import split_url

KNOWN = {
    "sqlite": "sqlite:///{folder}/treadle.db",
    "files": "file:{folder}/treadle",
    "memory": "memory:",
}
"""What may be written in place of a URL."""


def url_of(store: str) -> str:
    """The URL that a short name stands for; any other text is one itself."""
    return KNOWN.get(store, store)


def place_of(url: str, folder: Path) -> str:
    """The URL to open in this folder."""
    return url.replace("{folder}", str(folder))


def label_of(url: str) -> str:
    """What a store is called in a table: files, sqlite, memory."""
    scheme, _ = split_url(url)
    return "files" if scheme == "file" else scheme


def durability_of(url: str) -> str:
    """What Treadle promises there; in memory it is nothing, whatever it is asked for."""
    return "none" if label_of(url) == "memory" else "full"


def is_files(url: str) -> bool:
    """Whether each entry and each thread is a document, which a million of are not for a test."""
    return label_of(url) == "files"
