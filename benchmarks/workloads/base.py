"""A workload: a sentence, columns, subjects, and a function that measures one of them."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.peers.base import Subject
from benchmarks.sizes import Sizes
from benchmarks.stores import label_of
from benchmarks.tables import Column, Row

Kind = TypeVar("Kind", bound=Subject)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One subject's part of a workload, which a process of its own does."""

    workload: str
    subject: int
    """Its place among the workload's subjects."""
    store: str
    """Treadle's URL, or that of the server; empty for the others."""
    folder: str
    sizes: Sizes


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, to whom, and how it is told."""

    name: str
    """What it is called, on the command line too."""
    about: str
    """What it is for, in a line."""
    work: Callable[[Sizes], str]
    """What is done, in a sentence."""
    columns: Callable[[Sizes], tuple[Column, ...]]
    subjects: Sequence[type[Subject]]
    measure: Callable[[type[Subject], Task], Coroutine[Any, Any, list[Row]]]


def title(kind: type[Subject], store: str) -> str:
    """What a subject is called in a table."""
    if store:
        return f"{kind.name} ({label_of(store)})"
    return f"{kind.name} {kind.version() or ''}".rstrip()


@asynccontextmanager
async def opened(kind: type[Kind], folder: Path, store: str = "") -> AsyncIterator[Kind]:
    """A subject, ready to work in a folder that is not there yet."""
    subject = kind(folder, store)
    await subject.open()
    try:
        yield subject
    finally:
        await subject.close()
