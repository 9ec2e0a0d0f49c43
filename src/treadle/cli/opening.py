"""The store that a command means: whether it is there, and work done in it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

import treadle
from treadle.backends.registry import split_url, sqlite_path
from treadle.cli.options import STORE_VARIABLE, chosen_store
from treadle.cli.terminal.failure import Failure
from treadle.store.store import Store

_MARKS = ("_treadle", "_runs", "_mailbox", "_mailbox_threads")

T = TypeVar("T")


def read_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the chosen store, which must be there.

    Raises:
        Failure: there is no store.
    """
    url = chosen_store()
    check_present(url)
    return asyncio.run(_work(url, work))


def write_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the chosen store, which is made, and told, if it is not there.

    Raises:
        Failure: there can be no store.
    """
    url = chosen_store()
    check_possible(url)
    is_new = _why_absent(url) is not None
    result = asyncio.run(_work(url, work))
    if is_new:
        click.echo(f"treadle: {url} is a new store", err=True)
    return result


def check_present(url: str) -> None:
    """See that a folder or a database file is a store already, so that reading never makes one.

    Raises:
        Failure: it is not.
        UsageError, InvalidValue: the URL names no store that is kept.
    """
    check_possible(url)
    reason = _why_absent(url)
    if reason is not None:
        raise Failure(
            f"{reason}; name a store with --store or {STORE_VARIABLE}, "
            "or make one: `treadle send` and `treadle import` do"
        )


def check_possible(url: str) -> None:
    """See that a store can be where the URL says, and outlives this command.

    Raises:
        Failure: a folder is where the file of a database should be.
        UsageError, InvalidValue: the URL names no store that is kept.
    """
    if not treadle.open_store(url).capabilities.durable:
        raise click.UsageError(
            f"{url} is forgotten when the command ends; name a folder, or a database such as "
            "sqlite:///agents.db"
        )
    database = database_of(url)
    if database is not None and os.path.isdir(database):
        advice = f"if it is a store of plain files, name it {database}"
        raise Failure(f"{url} is a folder, and not the file of a store; {advice}")


def folder_of(url: str) -> Path | None:
    """The folder that `url` means; None if it means something else.

    Raises:
        InvalidValue: the URL names nothing.
    """
    scheme, rest = split_url(url)
    return Path(rest.removeprefix("//")) if scheme == "file" else None


def database_of(url: str) -> Path | None:
    """The database file that `url` means; None if it means something else.

    Raises:
        InvalidValue: the URL names no file.
    """
    scheme, rest = split_url(url)
    return sqlite_path(rest) if scheme == "sqlite" else None


def _why_absent(url: str) -> str | None:
    """Why there is no store; None if there may be one, which opening it will tell."""
    folder, database = folder_of(url), database_of(url)
    try:
        if folder is not None:
            return _why_no_folder(url, folder)
        if database is not None and database.stat().st_size == 0:
            return f"the file {url} is empty, and holds no store"
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no store at {url}"
    except OSError:
        return None
    return None


def _why_no_folder(url: str, folder: Path) -> str | None:
    with os.scandir(folder) as found:
        if any(each.name in _MARKS or each.name.endswith(".json") for each in found):
            return None
    return f"the folder {url} holds no store"


async def _work(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async with treadle.open_store(url) as store:
        return await work(store)
