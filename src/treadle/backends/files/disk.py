"""All access to the file system, in one class, so that tests can replace it by a failing disk."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from treadle.backends._modes import file_mode_like, make_folder
from treadle.backends._plain_files import NotPlainFile, check_plain, open_plain
from treadle.backends.files._swap import swap
from treadle.backends.files._temp_files import TempFilePool

Bytes: TypeAlias = bytes | bytearray | memoryview
_datasync = getattr(os, "fdatasync", os.fsync)
_HAS_WRITEV = hasattr(os, "writev")
_MOST_PARTS = 1024
"""Linux and macOS refuse a vectored write of more parts (IOV_MAX)."""


class Disk:
    """The real file system. It never follows a link at the end of a path, nor waits for a pipe.

    A file that is written in place must have no other name. A JSON file may have one: it is
    replaced, and its other name keeps the old content.
    """

    def __init__(self) -> None:
        self._temp_files = TempFilePool()

    def make_folder(self, path: str, like: str | None = None) -> None:
        """Create a folder unless it exists; a link to one elsewhere is refused.

        Only its owner may use it, and those who may use the folder `like`.
        """
        make_folder(path, like)
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

    def changed_at(self, folder: str) -> int | None:
        """Return when a name in a folder was changed last, in nanoseconds; None if it is missing.

        Systems note this time to some milliseconds.
        """
        try:
            return os.stat(folder).st_mtime_ns
        except FileNotFoundError:
            return None

    def check_writable(self, path: str) -> None:
        """Check a file that will be written; it may be missing, or have other names.

        Raises:
            NotPlainFile: it is a link, a folder, a pipe, a socket or a device.
            PermissionError: its permissions do not let it be written.
        """
        check_plain(path, one_name=False)
        if not os.access(path, os.W_OK) and self.exists(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            NotPlainFile: it is a link, a folder, a pipe, a socket or a device.
        """
        descriptor = open_plain(path, os.O_RDONLY)
        try:
            return _read_all(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def read_parts(self, path: str, parts: Iterable[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file, each given by its first byte and its length.

        Raises:
            NotPlainFile: it is a link, a folder, a pipe, a socket or a device.
        """
        descriptor = open_plain(path, os.O_RDONLY)
        try:
            return [self.read_log(descriptor, start, size) for start, size in parts]
        finally:
            os.close(descriptor)

    def read_end(self, path: str, size: int) -> tuple[bytes, int]:
        """Return up to `size` bytes at the end of a file, and the offset of the first of them.

        Raises:
            NotPlainFile: it is a link, a folder, a pipe, a socket or a device.
        """
        descriptor = open_plain(path, os.O_RDONLY)
        try:
            start = max(os.fstat(descriptor).st_size - size, 0)
            return self.read_log(descriptor, start, size), start
        finally:
            os.close(descriptor)

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        """Replace a file's content by `parts`, by way of a temporary file.

        Other processes see the old content or the new, never a mixture. The new content survives
        a power failure only with `sync`.
        """
        descriptor, temporary, size = self._temp_files.open(temp_folder)
        try:
            try:
                written = _write_all(descriptor, parts)
                if written < size:  # a reused file may be longer than the new content
                    os.ftruncate(descriptor, written)
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
        """Append to a file, which is created if missing and is not synced.

        Raises:
            NotPlainFile: it is not a plain file, or has other names.
        """
        flags = os.O_WRONLY | os.O_APPEND
        try:
            descriptor = open_plain(path, flags, one_name=True)
        except FileNotFoundError:
            flags |= os.O_CREAT
            descriptor = open_plain(path, flags, one_name=True, mode=_mode_beside(path))
        try:
            _write_all(descriptor, [data])
        finally:
            os.close(descriptor)

    def write_tail(self, path: str, start: int, data: Bytes) -> None:
        """Write into a file from a byte, and cut off what follows; it is not synced.

        The file is created if missing. Missing bytes before `start` become ends of lines.

        Raises:
            NotPlainFile: it is not a plain file, or has other names.
        """
        log = self.open_log(path)
        try:
            size, end = self.size_of(log), start + len(data)
            if size == end and self.read_log(log, start, len(data)) == data:
                return
            if size < start:
                self.write_log(log, size, b"\n" * (start - size))
            self.write_log(log, start, data)
            if size > end:
                self.cut_log(log, end)
        finally:
            self.close_log(log)

    def remove(self, path: str) -> None:
        """Remove a file if it exists; a folder at its path stays."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if not os.path.isdir(path):
                raise

    def move(self, source: str, target: str) -> None:
        """Rename a file, over whatever is at `target`."""
        os.replace(source, target)

    def sync(self, path: str) -> None:
        """Make a file's content survive a power failure; what is not a plain file is ignored."""
        try:
            descriptor = open_plain(path, os.O_RDWR)
        except (FileNotFoundError, NotPlainFile):
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder survive a power failure."""
        if os.name == "nt":  # Windows cannot open folders; it writes names to the disk at once
            return
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open_log(self, path: str) -> int:
        """Open a file for reading and writing at any offset; it is created if missing.

        Raises:
            NotPlainFile: it is not a plain file, or has other names.
        """
        flags = os.O_RDWR | os.O_CREAT
        return open_plain(path, flags, one_name=True, mode=_mode_beside(path))

    def size_of(self, log: int) -> int:
        """Return the length of a log in bytes."""
        return os.fstat(log).st_size

    def is_removed(self, log: int) -> bool:
        """Return True if the log no longer has a name."""
        return os.fstat(log).st_nlink == 0

    def read_log(self, log: int, start: int, size: int) -> bytes:
        """Return up to `size` bytes of a log from `start`."""
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


def _mode_beside(path: str) -> int:
    return file_mode_like(os.path.dirname(path))


def _read_all(descriptor: int, size: int) -> bytes:
    try:
        data = os.read(descriptor, size)
    except (MemoryError, OverflowError) as error:  # a file with holes may be of any size
        raise OSError(errno.EFBIG, f"{size} bytes do not fit in memory") from error
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            break
        data += more
    return data


def _write_all(descriptor: int, parts: Sequence[Bytes]) -> int:
    """Write parts one after the other, and return how many bytes they have."""
    total = sum(map(len, parts))
    written = os.writev(descriptor, parts[:_MOST_PARTS]) if _HAS_WRITEV else 0
    if written < total:
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return total
