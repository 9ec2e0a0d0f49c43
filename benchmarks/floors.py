"""The floors: what the disk asks for the same promises, by hand and without a store."""

import os
from pathlib import Path

from benchmarks.measure import median_by_hand


def sync_floor(folder: Path, times: int, size: int = 1200) -> float:
    """Append `size` bytes to a file and `fdatasync`: microseconds."""
    log = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    data = b"x" * size

    def write(_: int) -> None:
        os.write(log, data)
        os.fdatasync(log)

    try:
        return median_by_hand(times, write)
    finally:
        os.close(log)


def document_floor(folder: Path, times: int, size: int) -> float:
    """The same, and a document of `size` bytes put in place by a rename: microseconds."""
    log = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    data, record = b"x" * size, b"x" * 1200
    temporary, place = folder / "floor.tmp", folder / "floor.json"

    def write(_: int) -> None:
        os.write(log, record)
        os.fdatasync(log)
        temporary.write_bytes(data)
        temporary.replace(place)

    try:
        return median_by_hand(times, write)
    finally:
        os.close(log)
