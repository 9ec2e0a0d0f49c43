"""The files that pages load: style, scripts, icon."""

import hashlib
from importlib.resources import files
from typing import NamedTuple

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFile(NamedTuple):
    """A file, and what is known of it."""

    data: bytes
    type: str
    version: str
    """A hash of the data."""


def _read() -> dict[str, StaticFile]:
    found = {}
    for file in (files("treadle.http._dashboard") / "static").iterdir():
        name = file.name
        kind = next((kind for suffix, kind in _TYPES.items() if name.endswith(suffix)), None)
        if kind is not None:
            data = file.read_bytes()
            found[name] = StaticFile(data, kind, hashlib.sha256(data).hexdigest()[:16])
    return found


STATIC_FILES = _read()
"""All of them, by name."""
