"""A workload: a sentence, columns, subjects, and a function that measures one of them."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.measure import sync_disk
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.base import PostgresSubject
from benchmarks.sizes import Sizes
from benchmarks.stores import label_of
from benchmarks.tables import Column, Row

Kind = TypeVar("Kind", bound=Subject)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The measurement of one subject, which a child process runs."""

    workload: str
    subject: int
    """Its index among the subjects of the workload."""
    store: str
    """The URL of Treadle's store or of the server; empty for all other subjects."""
    folder: str
    sizes: Sizes


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """The work, its subjects, and its table."""

    name: str
    """The name, on the command line too."""
    about: str
    """A description in one line, for the help."""
    work: Callable[[Sizes], str]
    """A description with the sizes, above the table."""
    columns: Callable[[Sizes], tuple[Column, ...]]
    subjects: Sequence[type[Subject]]
    measure: Callable[[type[Subject], Task], Coroutine[Any, Any, list[Row]]]
    is_timed: bool = True
    """False if no figure is a time: such workloads are measured side by side, after all others."""


def title(kind: type[Subject], store: str) -> str:
    """Return the name of a subject in a table."""
    if store:
        return f"{kind.name} ({label_of(store)})"
    return f"{kind.name} {kind.version() or ''}".rstrip()


def title_of(kind: type[Subject], task: Task) -> str:
    """Return the name of the subject of a task in a table."""
    return title(kind, "" if kind.uses_server else task.store)


def settle(subject: Subject, sizes: Sizes) -> None:
    """Leave nothing to be written or vacuumed later, while something is timed."""
    if sizes.syncs_first and isinstance(subject, PostgresSubject):
        subject.rest()
    else:
        sync_disk(sizes.syncs_first)


@asynccontextmanager
async def opened(kind: type[Kind], folder: Path, store: str = "") -> AsyncIterator[Kind]:
    """Open a subject in a new folder, and close it at the end."""
    subject = kind(folder, store)
    await subject.open()
    try:
        yield subject
    finally:
        await subject.close()
