"""`treadle export`: write threads as conversations, which `treadle import` reads."""

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import click
import msgspec

from treadle.cli.concurrency import map_in_order
from treadle.cli.opening import read_store
from treadle.cli.options import store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure, describe
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.progress import progress
from treadle.core.threads import ThreadHead
from treadle.errors import CorruptRecord, NotFound
from treadle.integrations.openai_chat import write_conversation
from treadle.store.pages import every
from treadle.store.store import Store

_CONCURRENCY = 16


@click.command(
    "export",
    cls=ExampleCommand,
    examples=(
        "treadle export > conversations.jsonl",
        "treadle export bike-squeaky-brakes | jq .messages",
        "treadle export --resource user-17 --output user-17.jsonl",
    ),
)
@store_option()
@click.argument("thread_ids", metavar="[THREAD]...", nargs=-1)
@click.option("--resource", metavar="ID", help="Only threads of this owner.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write to this file, which appears when it is complete.",
)
def export_command(thread_ids: tuple[str, ...], resource: str | None, output: Path | None) -> None:
    """Write threads as JSON Lines in the OpenAI chat format.

    Without a THREAD, all threads are written. Each line is {"id": ..., "messages": [...], ...};
    what the format has no name for is in its field "treadle". `treadle import` reads it.
    """
    if thread_ids and resource is not None:
        raise click.UsageError("give either threads or --resource")

    async def write(store: Store) -> list[str]:
        ids = list(thread_ids) or await _list_ids(store, resource)
        with _open(output) as stream:
            return await _write(store, ids, stream)

    errors = read_store(write)
    for error in errors:
        click.echo(f"treadle: {error}", err=True)
    if errors:
        raise Failure(f"{counted(len(errors), 'thread')} could not be exported; all others were")


async def _list_ids(store: Store, resource: str | None) -> list[str]:
    ids = every(partial(store.threads.list, resource_id=resource))
    return [thread_id async for thread_id in ids]


async def _write(store: Store, ids: list[str], stream: BinaryIO) -> list[str]:
    """Write the threads; return the errors of those that cannot be written."""

    async def load(thread_id: str) -> ThreadHead | str:
        try:
            head = await store.threads.load(thread_id)
        except CorruptRecord as error:
            return describe(error)
        return str(NotFound("thread", thread_id)) if head is None else head

    errors: list[str] = []
    with progress("exporting", len(ids), unit="threads") as bar:
        async with aclosing(map_in_order(load, ids, _CONCURRENCY)) as heads:
            async for loaded in heads:
                if isinstance(loaded, str):
                    errors.append(loaded)
                else:
                    stream.write(msgspec.json.encode(write_conversation(loaded.thread)) + b"\n")
                bar.advance(1)
    stream.flush()
    return errors


@contextmanager
def _open(output: Path | None) -> Generator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield cast("BinaryIO", stream)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(output)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
