"""Progress of long work, on standard error, and only where somebody is looking at it."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import click


class Progress(Protocol):
    """How far the work is."""

    def advance(self, amount: int) -> None:
        """Some more is done."""
        ...

    def reach(self, done: int, total: int) -> None:
        """So much is done, of so much as is known by now."""
        ...

    def note(self, line: str) -> None:
        """Say something on standard error, above the bar if there is one."""
        ...


@contextmanager
def progress(title: str, total: int | None, *, unit: str = "") -> Generator[Progress]:
    """A bar on a terminal, nothing anywhere else; `total` None is work of unknown length."""
    if not sys.stderr.isatty():
        yield _Quiet()
        return
    with _bar(title, total, unit) as bar:
        yield bar


class _Quiet:
    def advance(self, amount: int) -> None:
        """Nobody is looking."""

    def reach(self, done: int, total: int) -> None:
        """Nor now."""

    def note(self, line: str) -> None:
        click.echo(line, err=True)


@contextmanager
def _bar(title: str, total: int | None, unit: str) -> Generator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import (
        Progress as Live,
    )
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    count = (MofNCompleteColumn(), TextColumn(unit)) if unit else (TaskProgressColumn(),)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *count)
    live = Live(*columns, TimeElapsedColumn(), console=console, redirect_stdout=False)

    class Bar:
        def advance(self, amount: int) -> None:
            live.advance(task, amount)

        def reach(self, done: int, total: int) -> None:
            live.update(task, completed=done, total=total)

        def note(self, line: str) -> None:
            console.print(Text(line), soft_wrap=True)

    with live:
        task = live.add_task(title, total=total)
        yield Bar()
