"""URLs of stores: their scheme, the file or folder they name, and what may be shown of them."""

import os
import re
from pathlib import Path

from treadle.errors import InvalidValue

_DATABASE_FILES = (".db", ".db3", ".sqlite", ".sqlite3")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C: is a drive
_SECRETS = re.compile(r"([?&][a-z_]*(?:password|secret)=)[^&]+")
_PASSWORD = re.compile(r"(?<=://)([^:/@?]*):.+@", re.DOTALL)


def split_url(url: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the scheme in lower case, and the rest of the URL; a plain path is a `file`.

    Raises:
        InvalidValue: it is neither a URL nor a path.
    """
    text = os.fspath(url) if isinstance(url, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise InvalidValue("url", f"it must be a folder, or 'memory:', not {url!r}")
    scheme = _SCHEME.match(text) if isinstance(url, str) else None
    if scheme:
        return scheme[1].lower(), text[scheme.end() :]
    _check_folder(text)
    return "file", text


def folder_path(rest: str) -> Path:
    """Return the folder that follows `file:` in a URL.

    Raises:
        InvalidValue: it names no folder.
    """
    path = rest.removeprefix("//")
    if not path:
        raise InvalidValue("url", "'file:' needs a folder after it, such as 'file:./agents'")
    _check_home(path)
    return Path(path)


def sqlite_path(rest: str) -> Path:
    """Return the file that follows `sqlite:` in a URL; four slashes begin an absolute path.

    Raises:
        InvalidValue: it names no file.
    """
    path = rest.removeprefix("///") if rest.startswith("///") else rest
    if not path or path.startswith("//") or path.endswith("/"):
        raise InvalidValue("url", "'sqlite:' needs a file, such as 'sqlite:///agents.db'")
    _check_home(path)
    return Path(path)


def without_password(url: str) -> str:
    """Return the URL, of any kind, without its password.

    If the URL is malformed, more than the password may be removed.
    """
    return _PASSWORD.sub(r"\1:***@", _SECRETS.sub(r"\1***", url))


def _check_folder(path: str) -> None:
    """Refuse a plain path to a database file, which would become a folder of JSON files."""
    _check_home(path)
    advice = f"for a database file, write 'sqlite:///{path}'"
    if os.path.isfile(path):
        raise InvalidValue("url", f"{path!r} is a file, not the folder of a store; {advice}")
    if path.lower().endswith(_DATABASE_FILES) and not os.path.isdir(path):
        reason = f"{path!r} would become a folder of JSON files; {advice}"
        raise InvalidValue("url", f"{reason}; if you mean the folder, 'file:{path}'")


def _check_home(path: str) -> None:
    """Refuse `~`, which a shell replaces and Python does not."""
    if path == "~" or path.startswith(("~/", "~\\")):
        advice = "write out the path of your home folder, or use pathlib.Path.home()"
        raise InvalidValue("url", f"{path!r} would be in a folder named '~'; {advice}")
