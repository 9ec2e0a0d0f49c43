"""URLs of stores: their scheme, the file or folder they name, and what may be shown of them."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

from treadle.backends._spelling import find_habit_in_path, find_habit_in_url
from treadle.errors import InvalidValue, shorten

_DATABASE_FILES = (".db", ".db3", ".sqlite", ".sqlite3")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C: is a drive
_NAME_OF_SECRET = r"[a-z_]*(?:password|secret|scram_client_key|scram_server_key)"
"""The parameters of libpq that let somebody log in, or pass for the server."""
_SECRETS = re.compile(rf"((?:^|[?&\s]){_NAME_OF_SECRET}=)('[^']*'|[^&\s]+)")
_ESCAPED = re.compile(r"([?&]([^=?&\s]*%[^=?&\s]*)=)[^&\s]+")
"""A parameter whose name has numbers for letters, which libpq reads as the name itself."""
_PASSWORD = re.compile(r"(?<=//)([^:/@?]*):.+@", re.DOTALL)


def split_url(url: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the scheme in lower case, and the rest of the URL; a plain path becomes `file:`.

    Raises:
        InvalidValue: it is neither a URL nor a path.
    """
    text = os.fspath(url) if isinstance(url, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise InvalidValue("url", f"it must be a folder, or 'memory:', not {shorten(url)}")
    scheme = _SCHEME.match(text)
    if scheme is None:
        _refuse(text, find_habit_in_path(text))
        return "file", _as_rest(text)
    if not isinstance(url, str):
        _refuse(text, "it begins as a URL does; pass a URL as a string, not as a path object")
    return scheme[1].lower(), text[scheme.end() :]


def folder_path(rest: str) -> Path:
    """Return the folder that follows `file:` in a URL.

    Raises:
        InvalidValue: it names no folder.
    """
    if rest in ("", "//"):
        raise InvalidValue("url", "'file:' needs a folder after it, such as 'file:./agents'")
    _refuse(f"file:{rest}", find_habit_in_url(rest))
    path = rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
        if host:
            meant = f"'file://{path}'" if host == "localhost" else f"'file:{host}{path}'"
            raise InvalidValue("url", f"a folder is on no host, such as {host!r}; write {meant}")
    path = _unescaped(path)
    _check_home(path)
    _check_folder(path)
    return Path(path)


def sqlite_path(rest: str) -> Path:
    """Return the file that follows `sqlite:` in a URL; four slashes begin an absolute path.

    Raises:
        InvalidValue: it names no file.
    """
    path = rest.removeprefix("///")
    if not path.strip("/") or path.endswith("/"):
        raise InvalidValue("url", "'sqlite:' needs a file, such as 'sqlite:///agents.db'")
    _refuse(f"sqlite:{rest}", find_habit_in_url(rest))
    if not rest.startswith("///"):
        meant = f"sqlite:///{rest.removeprefix('//')}"
        raise InvalidValue("url", f"three slashes begin the name of a file; write {meant!r}")
    path = _unescaped(path)
    _check_home(path)
    return Path(path)


def without_password(url: str) -> str:
    """Return the URL, of any kind, without its password.

    If the URL is malformed, more than the password may be removed.
    """
    bare = _ESCAPED.sub(_without_secret, _SECRETS.sub(r"\1***", url))
    return _PASSWORD.sub(r"\1:***@", bare)


def _without_secret(parameter: re.Match[str]) -> str:
    is_secret = re.fullmatch(_NAME_OF_SECRET, unquote(parameter[2])) is not None
    return f"{parameter[1]}***" if is_secret else parameter[0]


def _refuse(url: str, reason: str | None) -> None:
    if reason is not None:
        raise InvalidValue("url", f"{without_password(url)!r}: {reason}")


def _as_rest(path: str) -> str:
    """Return what follows `file:` in the URL of a path."""
    escaped = quote(_as_bytes(path))
    return f"//{escaped}" if escaped.startswith("/") else escaped


def _unescaped(path: str) -> str:
    """Return a path of a URL with its escapes replaced, as bytes of UTF-8."""
    text = os.fsdecode(unquote_to_bytes(_as_bytes(path)))
    if "\0" in text:
        _refuse(path, "the name of a file has no NUL")
    return text


def _as_bytes(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError as error:
        reason = f"{path!r} cannot be the name of a file on this system: {error.reason}"
        raise InvalidValue("url", reason) from error


def _check_folder(path: str) -> None:
    """Refuse the path of a database file, which would become a folder of JSON files."""
    advice = f"for a database file, write 'sqlite:///{quote(_as_bytes(path))}'"
    if os.path.isfile(path):
        raise InvalidValue("url", f"{path!r} is a file, not the folder of a store; {advice}")
    if path.lower().endswith(_DATABASE_FILES) and not os.path.isdir(path):
        reason = f"{path!r} would become a folder of JSON files; {advice}"
        raise InvalidValue("url", f"{reason}; if you mean a folder, create it first")


def _check_home(path: str) -> None:
    """Refuse `~`, which a shell replaces and Python does not."""
    if path == "~" or path.startswith(("~/", "~\\")):
        advice = "write out the path of your home folder, or use pathlib.Path.home()"
        raise InvalidValue("url", f"{path!r} would be in a folder named '~'; {advice}")
