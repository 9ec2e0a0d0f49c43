"""The store that a command works on: check that it exists, open it, and call the command's work."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

import treadle
from treadle.backends.registry import store_exists
from treadle.backends.urls import folder_path, split_url, sqlite_path
from treadle.cli.options import STORE_VARIABLE, chosen_store
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.notes import write_note
from treadle.store.store import Store

T = TypeVar("T")


def read_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the chosen store to read only, and return the result of `work`.

    Raises:
        Failure: the store does not exist.
    """
    url = chosen_store()
    check_present(url)
    return asyncio.run(_work(url, work, read_only=True))


def change_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the chosen store, which must exist, and return the result of `work`.

    Raises:
        Failure: the store does not exist.
    """
    url = chosen_store()
    check_present(url)
    return asyncio.run(_work(url, work))


def write_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the chosen store, and return the result of `work`.

    If the store does not exist, create it, and say so: its name may be mistyped.

    Raises:
        Failure: no store can be created there.
    """
    url = chosen_store()
    check_possible(url)
    is_new = not store_exists(url)
    result = asyncio.run(_work(url, work))
    if is_new:
        write_note(f"treadle: {url} is a new store")
    return result


def check_present(url: str) -> None:
    """Check that a folder or a database file is a store, so that reading never creates one.

    Raises:
        Failure: it is not.
        UsageError, InvalidValue: the URL does not name a store that outlives this command.
    """
    check_possible(url)
    if not store_exists(url):
        raise Failure(
            f"there is no store at {url}; name a store with --store or {STORE_VARIABLE}, "
            "or create one: `treadle send` and `treadle import` do"
        )


def check_possible(url: str) -> None:
    """Check that the URL can name a store, and one that outlives this command.

    Raises:
        Failure: the URL names a database file, and a folder is there.
        UsageError, InvalidValue: the URL does not name a store that outlives this command.
    """
    if not treadle.open_store(url).capabilities.durable:
        raise click.UsageError(
            f"{url} is forgotten when the command ends; name a folder, or a database such as "
            "sqlite:///agents.db"
        )
    database = database_of(url)
    if database is not None and os.path.isdir(database):
        advice = f"if it is a store of plain files, name it {database}"
        raise Failure(f"{url} is a folder, not the file of a store; {advice}")


def folder_of(url: str) -> Path | None:
    """Return the folder that `url` names; None if it names something else.

    Raises:
        InvalidValue: Treadle does not know such a URL.
    """
    scheme, rest = split_url(url)
    return folder_path(rest) if scheme == "file" else None


def database_of(url: str) -> Path | None:
    """Return the database file that `url` names; None if it names something else.

    Raises:
        InvalidValue: Treadle does not know such a URL.
    """
    scheme, rest = split_url(url)
    return sqlite_path(rest) if scheme == "sqlite" else None


async def _work(url: str, work: Callable[[Store], Awaitable[T]], *, read_only: bool = False) -> T:
    async with treadle.open_store(url, read_only=read_only) as store:
        return await work(store)
