"""The floor: the cost of the same durability on this disk, by hand and without a store."""

import os
from pathlib import Path

from benchmarks.measure import median_by_hand


def sync_floor(folder: Path, times: int, document: int = 0) -> float:
    """Return the median time of an append of 1,200 bytes and an `fdatasync`, in microseconds.

    With `document`, each append also writes a file of so many bytes, and renames it.
    """
    record, data = b"x" * 1200, b"x" * document
    temporary, target = folder / "floor.tmp", folder / "floor.json"
    log = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def write(_: int) -> None:
        os.write(log, record)
        os.fdatasync(log)
        if document:
            temporary.write_bytes(data)
            temporary.replace(target)

    try:
        return median_by_hand(times, write)
    finally:
        os.close(log)
