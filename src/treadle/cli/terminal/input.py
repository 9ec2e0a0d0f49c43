"""Input: lines of a file or a pipe as they arrive."""

import os
import select
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from treadle.cli.terminal.failure import Failure

_READ_BYTES = 1 << 16


class InputLines:
    """The lines of `stream`, each as soon as it is there."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._rest: list[bytes] = []

    def is_ready(self) -> bool:
        """Return False if the next line, or the end, has not arrived yet."""
        if self._lines:
            return True
        try:
            return bool(select.select([self._stream], [], [], 0)[0])
        except (OSError, ValueError):  # not a file, or Windows, where only sockets can be asked
            return True

    def __iter__(self) -> Iterator[bytes]:
        while True:
            while self._lines:
                yield self._lines.pop()
            data = self._read()
            if not data:
                break
            self._rest.append(data)
            if b"\n" in data:
                *lines, rest = b"".join(self._rest).split(b"\n")
                self._lines, self._rest = lines[::-1], [rest]
        if last := b"".join(self._rest):
            yield last

    def _read(self) -> bytes:
        # Not a buffered read: it would wait until the whole buffer is full.
        try:
            descriptor = self._stream.fileno()
        except OSError:
            return self._stream.read(_READ_BYTES)
        with reading_input():
            return os.read(descriptor, _READ_BYTES)


@contextmanager
def reading_input() -> Generator[None]:
    """End the command with a clear error if its input cannot be read.

    Raises:
        Failure: see above; the input is a folder, for example.
    """
    try:
        yield
    except OSError as error:
        raise Failure(f"the input cannot be read: {error.strerror or error}") from error


def read_input() -> bytes:
    """Read all of standard input.

    Raises:
        Failure: it cannot be read.
    """
    with reading_input():
        return sys.stdin.buffer.read()
