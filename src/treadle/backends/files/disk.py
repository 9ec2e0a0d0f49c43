"""Every touch of the file system, in one place, so that tests can put a failing disk here."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from treadle.backends.files.exchange import exchange
from treadle.backends.files.spares import Spares

Bytes: TypeAlias = bytes | bytearray | memoryview
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_datasync = getattr(os, "fdatasync", os.fsync)


class Disk:
    """The real file system. Links are never followed at the last step of a path."""

    def __init__(self) -> None:
        self._spares = Spares()

    def make_folder(self, path: str) -> None:
        """See that there is a folder, and that it is no link to one elsewhere."""
        os.makedirs(path, exist_ok=True)
        if os.path.islink(path):
            raise NotADirectoryError(f"{path} is a symbolic link")

    def list_names(self, folder: str, suffix: str) -> Iterator[str]:
        """The names in a folder that end with `suffix`, without it; none if there is no folder."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix) and not entry.is_dir(follow_symlinks=False):
                        yield entry.name[: len(entry.name) - len(suffix)]
        except FileNotFoundError:
            return

    def list_all(self, folder: str) -> list[str]:
        """The names of files and folders in a folder; none if there is no folder."""
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Whether anything stands at `path`."""
        return os.path.lexists(path)

    def read(self, path: str) -> bytes:
        """The content of a file; a link or a folder in its place is an `OSError`."""
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _PLAIN)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(f"{path} is not a plain file")
            return _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)

    def place(self, path: str, parts: Sequence[Bytes], by: str, *, sync: bool = False) -> None:
        """Let a file hold `parts`, by way of a temporary file in the folder `by`.

        Other processes see it whole or not at all; it survives a power failure only with `sync`.
        """
        descriptor, temporary = self._spares.open(by)
        try:
            try:
                _write_all(descriptor, parts)
                os.ftruncate(descriptor, sum(map(len, parts)))
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if exchange(temporary, path):
                self._spares.keep(temporary)
            else:
                os.replace(temporary, path)
        except BaseException:
            self.remove(temporary)
            raise

    def remove_spares(self) -> None:
        """Remove the temporary files that are kept to be written over."""
        self._spares.remove()

    def append(self, path: str, data: bytes) -> None:
        """Add to the end of a file that may be lost: it is not synced."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW | _PLAIN
        descriptor = os.open(path, flags, 0o666)
        try:
            _write_all(descriptor, [data])
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Take a file away, if it is there."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def move(self, source: str, target: str) -> None:
        """Let a file stand elsewhere."""
        os.replace(source, target)

    def sync(self, path: str) -> None:
        """Make a file's content survive a power failure; one that is gone needs nothing."""
        try:
            descriptor = os.open(path, os.O_RDWR | _NO_FOLLOW | _PLAIN)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder survive a power failure."""
        if os.name == "nt":  # Windows cannot open folders; it writes names through
            return
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open_log(self, path: str) -> int:
        """Open a file for reading and writing at positions, made if missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW | _PLAIN, 0o666)

    def size_of(self, log: int) -> int:
        """The length of a log."""
        return os.fstat(log).st_size

    def read_log(self, log: int, start: int, size: int) -> bytes:
        """Up to `size` bytes of a log from `start` on."""
        os.lseek(log, start, os.SEEK_SET)
        return _read_all(log, size)

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        """Write into a log at `start`."""
        os.lseek(log, start, os.SEEK_SET)
        _write_all(log, [data])

    def sync_log(self, log: int) -> None:
        """Make what was written into a log survive a power failure."""
        _datasync(log)

    def cut_log(self, log: int, size: int) -> None:
        """Shorten a log to `size`."""
        os.ftruncate(log, size)

    def close_log(self, log: int) -> None:
        """Let go of a log."""
        os.close(log)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            break
        data += more
    return data


def _write_all(descriptor: int, parts: Sequence[Bytes]) -> None:
    total = sum(map(len, parts))
    written = os.writev(descriptor, parts) if hasattr(os, "writev") else 0
    if written == total:
        return
    rest = memoryview(b"".join(parts))[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]
