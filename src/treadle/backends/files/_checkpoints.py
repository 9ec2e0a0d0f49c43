"""Checkpoints: threads that sync the JSON files of complete journals and remove the journals."""

import logging
import threading

from treadle.backends.files._recovery import checkpoint
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.errors import TreadleError

_log = logging.getLogger(__name__)
_POSTPONED = "journals %s stay until the next checkpoint"


class Checkpoints:
    """The checkpoints of one handle, which run beside its commits."""

    def __init__(self, disk: Disk, files: JsonFiles) -> None:
        self._disk = disk
        self._files = files
        self._threads: list[threading.Thread] = []

    def start(self, numbers: list[int]) -> None:
        """Start a checkpoint of the journals with these numbers."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._run, args=(numbers,), name="treadle-checkpoint")
        try:
            thread.start()
        except RuntimeError:  # the process has no more threads; the commit succeeded all the same
            _log.exception(_POSTPONED, numbers)
        else:
            self._threads.append(thread)

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, numbers: list[int]) -> None:
        try:
            checkpoint(self._disk, self._files, numbers)
        except (OSError, TreadleError):
            _log.exception(_POSTPONED, numbers)
