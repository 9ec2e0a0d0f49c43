"""Our own backends with the fault hook."""

from collections.abc import Sequence
from pathlib import Path

from weft.backends.files.backend import FilesBackend
from weft.backends.files.disk import Bytes, Disk
from weft.core.clock import Clock
from weft.testing.faults import Step


class SteppingDisk(Disk):
    """The real disk; it calls `step` before each thing that changes it."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def place(self, path: str, parts: Sequence[Bytes], by: str, *, sync: bool = False) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().place(path, parts, by, sync=sync)

    def append(self, path: str, data: bytes) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().append(path, data)

    def remove(self, path: str) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().remove(path)

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().write_log(log, start, data)

    def sync_log(self, log: int) -> None:
        """As the disk does it, after a step."""
        self._step()
        super().sync_log(log)


def make_files(place: Path, clock: Clock, step: Step) -> FilesBackend:
    """The files backend on a folder, with the hook."""
    return FilesBackend(place, clock, disk=SteppingDisk(step))
