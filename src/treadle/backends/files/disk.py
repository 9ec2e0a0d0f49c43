"""All access to the file system, in one class, so that tests can replace it by a failing disk."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from treadle.backends.files._swap import swap
from treadle.backends.files._temp_files import TempFilePool

Bytes: TypeAlias = bytes | bytearray | memoryview
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_datasync = getattr(os, "fdatasync", os.fsync)
_MOST_PARTS = 1024
"""Linux and macOS refuse a vectored write of more parts (IOV_MAX)."""


class Disk:
    """The real file system. A symbolic link at the end of a path is never followed."""

    def __init__(self) -> None:
        self._temp_files = TempFilePool()

    def make_folder(self, path: str) -> None:
        """Create a folder unless it exists; a link to one elsewhere is refused."""
        os.makedirs(path, exist_ok=True)
        if os.path.islink(path):
            raise NotADirectoryError(f"{path} is a symbolic link")

    def list_names(self, folder: str, suffix: str) -> Iterator[str]:
        """Yield the names in a folder that end with `suffix`, without it; none if it is missing."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix) and not entry.is_dir(follow_symlinks=False):
                        yield entry.name[: len(entry.name) - len(suffix)]
        except FileNotFoundError:
            return

    def list_all(self, folder: str) -> list[str]:
        """Return the sorted names of the files and folders in a folder; none if it is missing."""
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Return True if there is anything at `path`, even a dangling link."""
        return os.path.lexists(path)

    def read(self, path: str) -> bytes:
        """Return the content of a file; a link or a folder at its path is an `OSError`."""
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _PLAIN)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(f"{path} is not a plain file")
            return _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        """Replace a file's content by `parts`, by way of a temporary file.

        Other processes see the old content or the new, never a mixture. The new content survives
        a power failure only with `sync`.
        """
        descriptor, temporary = self._temp_files.open(temp_folder)
        try:
            try:
                _write_all(descriptor, parts)
                # a reused file may be longer than the new content
                os.ftruncate(descriptor, sum(map(len, parts)))
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if swap(temporary, path):
                self._temp_files.release(temporary)
            else:
                os.replace(temporary, path)
        except BaseException:
            self.remove(temporary)
            raise

    def remove_temp_files(self) -> None:
        """Remove the temporary files that are kept for the next writes."""
        self._temp_files.clear()

    def append(self, path: str, data: bytes) -> None:
        """Append to a file, which is created if missing and is not synced."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_FOLLOW | _PLAIN
        descriptor = os.open(path, flags, 0o666)
        try:
            _write_all(descriptor, [data])
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def move(self, source: str, target: str) -> None:
        """Rename a file, over whatever is at `target`."""
        os.replace(source, target)

    def sync(self, path: str) -> None:
        """Make a file's content survive a power failure; a missing file is ignored."""
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
        if os.name == "nt":  # Windows cannot open folders; it writes names to the disk at once
            return
        descriptor = os.open(path, os.O_RDONLY | _PLAIN)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open_log(self, path: str) -> int:
        """Open a file for reading and writing at any offset; it is created if missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW | _PLAIN, 0o666)

    def size_of(self, log: int) -> int:
        """Return the length of a log in bytes."""
        return os.fstat(log).st_size

    def read_log(self, log: int, start: int, size: int) -> bytes:
        """Return up to `size` bytes of a log, from `start` on."""
        os.lseek(log, start, os.SEEK_SET)
        return _read_all(log, size)

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        """Write to a log at `start`."""
        os.lseek(log, start, os.SEEK_SET)
        _write_all(log, [data])

    def sync_log(self, log: int) -> None:
        """Make what was written to a log survive a power failure."""
        _datasync(log)

    def cut_log(self, log: int, size: int) -> None:
        """Truncate a log to `size` bytes."""
        os.ftruncate(log, size)

    def close_log(self, log: int) -> None:
        """Close a log."""
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
    written = os.writev(descriptor, parts[:_MOST_PARTS]) if hasattr(os, "writev") else 0
    if written == total:
        return
    rest = memoryview(b"".join(parts))[written:]
    while rest:
        rest = rest[os.write(descriptor, rest) :]
