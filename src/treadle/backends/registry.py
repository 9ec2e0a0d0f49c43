"""The backend that a URL names.

A backend is imported when a URL first names it: `import treadle` needs neither a driver nor the
backends that a program does not use.
"""

import os
from collections.abc import Callable
from importlib import import_module

import msgspec

from treadle.backends._read_only import ReadOnlyBackend
from treadle.backends.base import Backend, Durability
from treadle.backends.urls import folder_path, split_url, sqlite_path
from treadle.clock import Clock, system_clock
from treadle.core.codec import check_integer
from treadle.core.limits import LARGEST_TIME
from treadle.errors import InvalidValue, StoreUnavailable, TreadleError, shorten


class Options(msgspec.Struct, frozen=True):
    """The arguments of `treadle.open_store` that a backend needs."""

    clock: Clock
    durability: Durability
    create: bool
    migrate: bool
    read_only: bool


def find_backend(
    url: str | os.PathLike[str],
    clock: Clock,
    durability: Durability,
    *,
    create: bool = True,
    migrate: bool = False,
    read_only: bool = False,
) -> Backend:
    """Return the backend that `url` names, not yet opened.

    Raises:
        InvalidValue: Treadle does not know such a URL, or it cannot be opened in this way.
    """
    if durability not in ("full", "relaxed"):
        raise InvalidValue(
            "durability", f"it must be 'full' or 'relaxed', not {shorten(durability)}"
        )
    scheme, rest = split_url(url)
    create_backend = SCHEMES.get(scheme)
    if create_backend is None:
        raise InvalidValue("url", f"there is no backend for {scheme!r}; {_advice_for(scheme)}")
    if read_only and migrate:
        raise InvalidValue("migrate", "a store that is opened to read only cannot be migrated")
    return create_backend(rest, Options(_checked(clock), durability, create, migrate, read_only))


def _checked(clock: Clock) -> Clock:
    """Return a clock whose times are checked when they are read, before anything is written.

    Raises:
        InvalidValue: it is not a clock; later, what it returns is not a time.
    """
    if clock is system_clock:
        return clock
    if not callable(clock):
        raise InvalidValue("clock", f"it must be a function, not {shorten(clock)}")

    def read() -> int:
        try:
            now = check_integer("clock", clock())
        except TreadleError:
            raise
        except Exception as error:
            raise InvalidValue("clock", f"it failed: {error!r}") from error
        if not 0 <= now <= LARGEST_TIME:
            raise InvalidValue("clock", f"it must return unix milliseconds, not {shorten(now)}")
        return now

    return read


def store_exists(url: str) -> bool:
    """Return False if `url` names a folder or a database file that is not a store yet.

    For all other URLs it returns True: only opening a store on PostgreSQL shows whether it exists.

    Raises:
        InvalidValue: Treadle does not know such a URL.
        StoreUnavailable: the folder or the file cannot be examined.
    """
    scheme, rest = split_url(url)
    try:
        match scheme:
            case "file":
                from treadle.backends.files.disk import Disk
                from treadle.backends.files.json_files import JsonFiles

                return JsonFiles(Disk(), str(folder_path(rest))).is_store()
            case "sqlite":
                from treadle.backends.sqlite.backend import is_store

                return is_store(sqlite_path(rest))
            case _:
                return True
    except OSError as error:
        raise StoreUnavailable(url, str(error)) from error


def require_postgres() -> None:
    """Check that the packages which PostgreSQL needs are installed.

    Raises:
        InvalidValue: one of them is not installed.
    """
    try:
        import_module("treadle.backends.postgres.backend")
    except ModuleNotFoundError as error:
        reason = (
            f"PostgreSQL needs {error.name}; in Treadle's folder, run: pip install '.[postgres]'"
        )
        raise InvalidValue("url", reason) from error


def _advice_for(scheme: str) -> str:
    kind, plus, driver = scheme.partition("+")  # as SQLAlchemy names drivers
    if plus and kind in SCHEMES:
        return f"write '{kind}:', without {plus + driver!r}"
    known = ", ".join(f"'{name}:'" for name in SCHEMES)
    return f"use a folder like './agents', or {known}"


def _memory(rest: str, options: Options) -> Backend:
    if rest not in ("", "//"):
        raise InvalidValue("url", f"'memory:' takes nothing after it, not {rest!r}")
    if options.read_only:
        raise InvalidValue("read_only", "a store in memory is empty when it is opened")
    from treadle.backends.memory.backend import MemoryBackend

    return MemoryBackend(options.clock)


def _files(rest: str, options: Options) -> Backend:
    from treadle.backends.files.backend import FilesBackend

    path = folder_path(rest)
    if options.read_only:
        return ReadOnlyBackend(FilesBackend(path, options.clock, read_only=True), str(path))
    return FilesBackend(path, options.clock, options.durability, create=options.create)


def _sqlite(rest: str, options: Options) -> Backend:
    path = sqlite_path(rest)
    if options.read_only:
        from treadle.backends.sqlite.reader import SqliteReader

        return ReadOnlyBackend(SqliteReader(path, options.clock), str(path))
    from treadle.backends.sqlite.backend import SqliteBackend

    return SqliteBackend(path, options.clock, options.durability, create=options.create)


def _postgres(rest: str, options: Options) -> Backend:
    require_postgres()
    from treadle.backends.postgres.backend import PostgresBackend
    from treadle.backends.postgres.location import parse_location

    # By default, a store on PostgreSQL uses the database's clock, which all its users share.
    clock = None if options.clock is system_clock else options.clock
    location = parse_location(f"postgresql:{rest}")
    if options.read_only:
        reader = PostgresBackend(location, clock, read_only=True)
        return ReadOnlyBackend(reader, str(location))
    return PostgresBackend(location, clock, options.durability, migrate=options.migrate)


SCHEMES: dict[str, Callable[[str, Options], Backend]] = {
    "memory": _memory,
    "file": _files,
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
}
