"""Fixtures of the conformance tests."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory, where the system has such a file system.

    The suite commits thousands of times, and on a disk it mostly waits for syncs. They prove
    nothing here: the suite kills processes, and what a process has written outlives it without one.
    """
    parent = MEMORY if MEMORY.is_dir() else None
    with TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
