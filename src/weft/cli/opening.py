"""Which store a command means, and work done in it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

import weft
from weft.cli.failure import Failure
from weft.store.store import Store

DEFAULT_STORE = "./weft-store"
_CHOSEN = "weft.store"
_NAMED = "weft.store.named"
_FOLDER = re.compile(r"(?:file:(?://)?)?(?![A-Za-z][A-Za-z0-9+.-]+:)(.+)", re.IGNORECASE)
_MARKS = ("_weft", "_runs", "_mailbox", "_mailbox_threads")

_MEANING = f"The store: a folder, or a URL.  [env WEFT_STORE; default {DEFAULT_STORE}]"

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
    """See that a folder is a store already, so that reading never makes one.

    Raises:
        Failure: it is not.
    """
    folder = folder_of(url)
    if folder is None:
        return
    advice = (
        "name a store with --store or WEFT_STORE, or make one with `weft import` or `weft demo`"
    )
    if not folder.exists():
        raise Failure(f"there is no store at {url}; {advice}")
    if not folder.is_dir():
        raise Failure(f"{url} is a file, and not the folder of a store; {advice}")
    if not any((folder / mark).is_dir() for mark in _MARKS) and not any(folder.glob("*.json")):
        raise Failure(f"the folder {url} holds no store; {advice}")


def folder_of(url: str) -> Path | None:
    """The folder that `url` means; None if it means something else."""
    folder = _FOLDER.fullmatch(url)
    return Path(folder[1]) if folder else None


async def _work(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async with weft.open_store(url) as store:
        return await work(store)
