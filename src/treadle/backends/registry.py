"""Which backend a URL means."""

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import msgspec

from treadle.backends.base import Backend, Durability
from treadle.backends.files.backend import FilesBackend
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.core.clock import Clock, system_clock
from treadle.errors import InvalidValue

_DATABASE_FILES = (".db", ".db3", ".sqlite", ".sqlite3")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C: is a drive


class Options(msgspec.Struct, frozen=True):
    """How a backend is to be opened; see `treadle.open_store`."""

    clock: Clock
    durability: Durability
    create: bool
    migrate: bool


def find_backend(
    url: str | os.PathLike[str],
    clock: Clock,
    durability: Durability,
    *,
    create: bool = True,
    migrate: bool = False,
) -> Backend:
    """The backend that `url` means, not yet opened.

    Raises:
        InvalidValue: the URL is none that Treadle knows.
    """
    if durability not in ("full", "relaxed"):
        raise InvalidValue("durability", f"it must be 'full' or 'relaxed', not {durability!r}")
    scheme, rest = split_url(url)
    make = SCHEMES.get(scheme)
    if make is None:
        known = ", ".join(f"'{name}:'" for name in SCHEMES)
        raise InvalidValue(
            "url",
            f"there is no backend for {scheme!r}; use a folder like './agents', or {known}",
        )
    return make(rest, Options(clock, durability, create, migrate))


def split_url(url: str | os.PathLike[str]) -> tuple[str, str]:
    """The scheme of a URL in small letters, and what follows it; a plain path is a `file`.

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


def _check_folder(path: str) -> None:
    """Refuse a plain path that means a file: it would become a folder of JSON files."""
    _check_home(path)
    advice = f"for a database file, write 'sqlite:///{path}'"
    if os.path.isfile(path):
        raise InvalidValue("url", f"{path!r} is a file, and not the folder of a store; {advice}")
    if path.lower().endswith(_DATABASE_FILES) and not os.path.isdir(path):
        reason = f"{path!r} would become a folder of JSON files; {advice}"
        raise InvalidValue("url", f"{reason}; if you mean the folder, 'file:{path}'")


def _check_home(path: str) -> None:
    """Refuse a path of which a shell would make another, and we would not."""
    if path == "~" or path.startswith(("~/", "~\\")):
        advice = "write your home folder out, or use pathlib.Path.home()"
        raise InvalidValue("url", f"{path!r} would be below a folder named '~'; {advice}")


def _memory(rest: str, options: Options) -> Backend:
    if rest not in ("", "//"):
        raise InvalidValue("url", f"'memory:' takes nothing after it, not {rest!r}")
    return MemoryBackend(options.clock)


def _files(rest: str, options: Options) -> Backend:
    path = rest.removeprefix("//")
    if not path:
        raise InvalidValue("url", "'file:' wants a folder after it, such as 'file:./agents'")
    _check_home(path)
    return FilesBackend(Path(path), options.clock, options.durability, creates=options.create)


def _sqlite(rest: str, options: Options) -> Backend:
    return SqliteBackend(
        sqlite_path(rest), options.clock, options.durability, creates=options.create
    )


def sqlite_path(rest: str) -> Path:
    """The file that a URL means after `sqlite:`; as elsewhere, four slashes begin an absolute path.

    Raises:
        InvalidValue: it names no file.
    """
    path = rest.removeprefix("///") if rest.startswith("///") else rest
    if not path or path.startswith("//") or path.endswith("/"):
        raise InvalidValue("url", "'sqlite:' wants a file, such as 'sqlite:///agents.db'")
    _check_home(path)
    return Path(path)


def _postgres(rest: str, options: Options) -> Backend:
    require_postgres()
    from treadle.backends.postgres.backend import PostgresBackend
    from treadle.backends.postgres.location import parse_location

    clock = None if options.clock is system_clock else options.clock
    location = parse_location(f"postgresql:{rest}")
    return PostgresBackend(location, clock, options.durability, migrates=options.migrate)


def require_postgres() -> None:
    """See that what PostgreSQL needs is installed.

    Raises:
        InvalidValue: it is not.
    """
    try:
        import_module("treadle.backends.postgres.backend")
    except ModuleNotFoundError as error:
        reason = f"PostgreSQL needs {error.name}; install treadle[postgres]"
        raise InvalidValue("url", reason) from error


SCHEMES: dict[str, Callable[[str, Options], Backend]] = {
    "memory": _memory,
    "file": _files,
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
}
