"""The stores of a run: URLs in which `{folder}` is replaced by a new folder."""

from pathlib import Path

from treadle.backends.urls import split_url

KNOWN = {
    "sqlite": "sqlite:///{folder}/treadle.db",
    "files": "file:{folder}/treadle",
    "memory": "memory:",
}
"""Short names of URLs."""


def url_of(store: str) -> str:
    """Return the URL of a short name; any other text is a URL itself."""
    return KNOWN.get(store, store)


def url_in(url: str, folder: Path) -> str:
    """Return the URL for this folder."""
    return url.replace("{folder}", str(folder))


def label_of(url: str) -> str:
    """Return the name of a store in a table: files, sqlite, memory."""
    scheme, _ = split_url(url)
    return "files" if scheme == "file" else scheme


def durability_of(url: str) -> str:
    """Return the durability of a store; a store in memory has none."""
    return "none" if label_of(url) == "memory" else "full"


def is_files(url: str) -> bool:
    """Return True if each entry and each thread is a file: a million of them take too long."""
    return label_of(url) == "files"
