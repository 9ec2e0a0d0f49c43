"""The floor: the cost of the same durability on this disk, by hand and without a store."""

import os
import statistics
import time
from pathlib import Path
from types import TracebackType

RECORD = b"x" * 1200


class Floor:
    """An append of 1,200 bytes to a file, and an `fdatasync`.

    With `document`, each write also writes a new file of so many bytes, and renames it.
    """

    def __init__(self, folder: Path, document: int = 0) -> None:
        self._temporary, self._target = folder / "floor.tmp", folder / "floor.json"
        self._document = b"x" * document
        self._log = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> "Floor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._log)

    async def write(self, number: int) -> None:
        """Write, as an operation that can take turns with another."""
        self.write_now()

    def write_now(self) -> None:
        """Write, and block."""
        os.write(self._log, RECORD)
        os.fdatasync(self._log)
        if self._document:
            self._temporary.write_bytes(self._document)
            self._temporary.replace(self._target)


def sync_floor(folder: Path, times: int) -> float:
    """Return the median time of the floor without a document, in microseconds."""
    taken: list[float] = []
    with Floor(folder) as floor:
        for _ in range(times):
            start = time.perf_counter()
            floor.write_now()
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6
