"""Importers of other programs' conversations: what they have in common."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from treadle.backends.postgres.location import parse_location
from treadle.backends.urls import split_url, sqlite_path, without_password
from treadle.errors import InvalidValue, StoreClosed, StoreUnavailable, TreadleError
from treadle.store.store import Store

T = TypeVar("T")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of another program, and what became of it."""

    name: str
    """Its id, and where it is, for people."""
    kind: Literal["created", "extended", "unchanged", "failed"]
    items: int = 0
    """How many of its items were written: checkpoints, events, messages."""
    reason: str | None = None
    """Why it was not imported, or not to its end."""
    branches: int = 0
    """How many threads it has besides its own: one for each further branch."""
    files: int = 0
    """How many files its messages name. They are not imported."""
    done: int
    """How many conversations are dealt with, with this one."""
    total: int | None
    """How many there are; None while that is not known."""


class Importer(Protocol):
    """Imports all conversations of a source into a store; what is there is not written again."""

    def __call__(self, store: Store, source: str) -> AsyncGenerator[Imported]:
        """Import, and yield each conversation.

        Raises:
            InvalidValue: the source is not a database of the framework, or not an export, or it
                cannot be read.
            ImportError: a package that reads the source is missing.
            StoreUnavailable: the store is not available; what was yielded is in it.
        """
        ...


class ImporterForOwner(Protocol):
    """An importer whose source names no owners: the threads get one, if it is given."""

    def __call__(
        self, store: Store, source: str, *, resource_id: str | None = None
    ) -> AsyncGenerator[Imported]:
        """Import as an `Importer`; a thread that is there without an owner gets it, too.

        A conversation whose thread has another owner fails.
        """
        ...


class Written(msgspec.Struct):
    """What an importer has written of a conversation so far."""

    items: int = 0
    is_new: bool = False
    """Whether the store had nothing of it before."""
    branches: int = 0
    files: int = 0


async def import_each(
    conversations: Iterable[T],
    name: Callable[[T], str],
    work: Callable[[T, Written], Awaitable[None]],
) -> AsyncGenerator[Imported]:
    """Import conversations one by one; one that fails does not hold up the others."""
    total = len(conversations) if isinstance(conversations, Sized) else None
    for done, each in enumerate(conversations, start=1):
        written = Written()
        reason = None
        try:
            await work(each, written)
        except (StoreUnavailable, StoreClosed):
            raise
        except Exception as error:  # of whatever library reads the source: it is reported
            reason = str(error) if isinstance(error, TreadleError) else repr(error)
        yield Imported(
            name=name(each),
            kind="failed" if reason is not None else _kind_of(written),
            items=written.items,
            reason=reason,
            branches=written.branches,
            files=written.files,
            done=done,
            total=total,
        )


def sqlite_file(source: str) -> Path | None:
    """Return the database file that a URL such as sqlite:///x.db names; None for other URLs.

    Raises:
        InvalidValue: there is no such file.
    """
    scheme, rest = split_url(source)
    if scheme != "sqlite":
        return None
    path = sqlite_path(rest)
    if not path.is_file():
        raise InvalidValue("source", f"there is no file {str(path)!r}")
    return path


def postgres_url(source: str) -> str | None:
    """Return a URL of PostgreSQL, which libpq can read; None for other URLs.

    Raises:
        InvalidValue: libpq cannot read it. Its own error might show a password.
    """
    if not source.startswith(("postgresql://", "postgres://")):
        return None
    parse_location(source)
    return source


@contextmanager
def reading(source: str) -> Generator[None]:
    """Run what opens or lists a source; the error of a driver becomes one of the source.

    Raises:
        InvalidValue: it cannot be read.
    """
    try:
        yield
    except (TreadleError, ImportError):
        raise
    except Exception as error:  # of whatever driver reads it
        reason = f"{without_password(source)!r} cannot be read: {str(error) or repr(error)}"
        raise InvalidValue("source", reason) from error


def _kind_of(written: Written) -> Literal["created", "extended", "unchanged"]:
    if written.is_new:
        return "created"
    return "extended" if written.items else "unchanged"
