"""The floor: what the disk asks for the same promises, by hand and without a store."""

import os
from pathlib import Path

from benchmarks.measure import median_by_hand


def sync_floor(folder: Path, times: int, document: int = 0) -> float:
    """Append 1,200 bytes to a file and `fdatasync`: the median, in microseconds.

    With `document`, also put a document of so many bytes in place by a rename.
    """
    record, data = b"x" * 1200, b"x" * document
    temporary, place = folder / "floor.tmp", folder / "floor.json"
    log = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def write(_: int) -> None:
        os.write(log, record)
        os.fdatasync(log)
        if document:
            temporary.write_bytes(data)
            temporary.replace(place)

    try:
        return median_by_hand(times, write)
    finally:
        os.close(log)
