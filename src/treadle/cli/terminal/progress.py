"""Progress of long work, on standard error, if that is a terminal."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from treadle.cli.terminal.notes import write_note
from treadle.core.escaping import one_line


class Progress(Protocol):
    """Shows how far the work is."""

    def advance(self, amount: int) -> None:
        """Add an amount to what is done."""
        ...

    def reach(self, done: int, total: int | None) -> None:
        """Set what is done, and the total as far as it is known."""
        ...

    def note(self, line: str) -> None:
        """Write a line to standard error, above the bar if there is one."""
        ...


@contextmanager
def progress(title: str, total: int | None, *, unit: str = "") -> Generator[Progress]:
    """Show a bar on a terminal, and nothing elsewhere; without a `total`, the bar has no end."""
    if not sys.stderr.isatty():
        yield _Quiet()
        return
    with _bar(title, total, unit) as bar:
        yield bar


class _Quiet:
    def advance(self, amount: int) -> None:
        """Show nothing."""

    def reach(self, done: int, total: int | None) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        write_note(line)


@contextmanager
def _bar(title: str, total: int | None, unit: str) -> Generator[Progress]:
    # Imported late: most commands show no bar, and rich takes long to import.
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

        def reach(self, done: int, total: int | None) -> None:
            live.update(task, completed=done, total=total)

        def note(self, line: str) -> None:
            console.print(Text(one_line(line)), soft_wrap=True)

    with live:
        task = live.add_task(title, total=total)
        yield Bar()
