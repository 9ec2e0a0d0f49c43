"""Progress on a terminal: one line, which is written over and over."""

import sys
from typing import TextIO


def report(text: str) -> None:
    """Show on a terminal what is being measured."""
    _show(text, sys.stderr)


def report_of_child(text: str) -> None:
    """Show the same from a process that measures: its standard output is the terminal, if any."""
    _show(text, sys.stdout)


def _show(text: str, stream: TextIO) -> None:
    if stream.isatty():
        print(f"\r\x1b[K{text}", end="", file=stream, flush=True)
