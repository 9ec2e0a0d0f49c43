"""The file that a user names for output: it appears when it is complete, if it is a file."""

import os
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import BinaryIO

from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.standard_files import writing_output

STANDARD_OUTPUT = Path("-")
_DESCRIPTOR = re.compile(r"/dev/(?:stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")
"""A file that is open already, as the shell has chosen."""


@contextmanager
def open_output(path: Path) -> Generator[BinaryIO]:
    """Open `path` for output, or standard output if it is `-`.

    What is written to a plain file replaces it at the end of the block, if that ends without an
    error; it can be read by its owner only, unless it was there and others could read it. Links
    are followed. A device or a pipe is written to as it is.

    Raises:
        Failure: it cannot be written.
    """
    if path == STANDARD_OUTPUT:
        with writing_output():
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    try:
        mode = _mode_of(path)
        is_replaced = (mode is None or S_ISREG(mode)) and not _DESCRIPTOR.fullmatch(str(path))
        opened = _replacing(Path(os.path.realpath(path)), mode) if is_replaced else _opened(path)
        with opened as stream:
            yield stream
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from error


def _mode_of(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    # It appends, as `>> file` and then `--output /dev/stdout` want; a device does not mind.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as stream:
        yield stream


@contextmanager
def _replacing(target: Path, mode: int | None) -> Generator[BinaryIO]:
    handle, part = tempfile.mkstemp(prefix=".export-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())  # only now are all errors of a full disk known
        if mode is not None:
            os.chmod(part, S_IMODE(mode))
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.remove(part)
        raise
