"""Which store a command means, and work done in it."""

import asyncio
import re
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

import weft
from weft.backends.registry import split_url, sqlite_path
from weft.cli.failure import Failure
from weft.store.store import Store

DEFAULT_STORE = "./weft-store"
STORE_VARIABLE = "WEFT_STORE"
_CHOSEN = "weft.store"
_NAMED = "weft.store.named"
_FOLDER = re.compile(r"(?:file:(?://)?)?(?![A-Za-z][A-Za-z0-9+.-]+:)(.+)", re.IGNORECASE)
_MARKS = ("_weft", "_runs", "_mailbox", "_mailbox_threads")

_MEANING = f"The store: a folder, or a URL.  [env {STORE_VARIABLE}; default {DEFAULT_STORE}]"

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Callable[..., object])


def _remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    ctx.meta[_CHOSEN] = value
    source = ctx.get_parameter_source(parameter.name or "")
    ctx.meta[_NAMED] = source is ParameterSource.COMMANDLINE


def store_option(
    *, meaning: str = _MEANING, variable: str | None = None
) -> Callable[[CommandT], CommandT]:
    """`--store URL`; a command's own counts more than what stands before the command."""
    return click.option(
        "--store",
        metavar="URL",
        envvar=variable,
        expose_value=False,
        callback=_remember,
        help=meaning,
    )


def chosen_store() -> str:
    """The URL of the store that the command line, the environment or the default names."""
    return str(click.get_current_context().meta.get(_CHOSEN, DEFAULT_STORE))


def named_store() -> str | None:
    """The URL that the command line names; None if it names none."""
    meta = click.get_current_context().meta
    return str(meta[_CHOSEN]) if meta.get(_NAMED) else None


def read_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the chosen store, which must be there.

    Raises:
        Failure: there is no store.
    """
    url = chosen_store()
    check_present(url)
    return asyncio.run(_work(url, work))


def write_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of the chosen store, which is made if it is not there."""
    return asyncio.run(_work(chosen_store(), work))


def check_present(url: str) -> None:
    """See that a folder or a database file is a store already, so that reading never makes one.

    Raises:
        Failure: it is not.
        InvalidValue: the URL names no file.
    """
    folder, database = folder_of(url), database_of(url)
    reason = None
    if folder is not None:
        reason = _why_no_folder(url, folder)
    elif database is not None:
        reason = _why_no_database(url, database)
    if reason is not None:
        advice = (
            "name a store with --store or WEFT_STORE, or make one with `weft import` or `weft demo`"
        )
        raise Failure(f"{reason}; {advice}")


def _why_no_folder(url: str, folder: Path) -> str | None:
    if not folder.exists():
        return f"there is no store at {url}"
    if not folder.is_dir():
        return f"{url} is a file, and not the folder of a store"
    if not any((folder / mark).is_dir() for mark in _MARKS) and not any(folder.glob("*.json")):
        return f"the folder {url} holds no store"
    return None


def _why_no_database(url: str, database: Path) -> str | None:
    """What the file holds is found out by opening it, which changes nothing if it is not ours."""
    try:
        found = database.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no store at {url}"
    except OSError:
        return None  # opening it says why
    if stat.S_ISDIR(found.st_mode):
        return f"{url} is a folder, and not the file of a store"
    return f"the file {url} is empty, and holds no store" if found.st_size == 0 else None


def folder_of(url: str) -> Path | None:
    """The folder that `url` means; None if it means something else."""
    folder = _FOLDER.fullmatch(url)
    return Path(folder[1]) if folder else None


def database_of(url: str) -> Path | None:
    """The database file that `url` means; None if it means something else.

    Raises:
        InvalidValue: the URL names no file.
    """
    scheme, rest = split_url(url)
    return sqlite_path(rest) if scheme == "sqlite" else None


async def _work(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async with weft.open_store(url) as store:
        return await work(store)
