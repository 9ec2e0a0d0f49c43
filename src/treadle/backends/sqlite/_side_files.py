"""Checking the files that SQLite opens, and obeys, before it does.

SQLite waits for a pipe in their place, and writes through hard links. If a journal names another
one, SQLite deletes that file, wherever it is.
"""

import os

from treadle.backends._plain_files import NotPlainFile, check_plain, open_plain
from treadle.errors import CorruptRecord, StoreUnavailable

_SUFFIXES = ("-wal", "-shm", "-journal")
_LOCKS = ("-queue", "-lock")
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal that names another, as in a transaction of several databases."""


def beside(path: str, suffix: str) -> str:
    """Return the path of one of SQLite's files: it is beside the database, not beside a link to it.

    Args:
        path: the database, or a link to it.
        suffix: such as `-wal`.
    """
    return os.path.realpath(path) + suffix


def check_files(path: str) -> None:
    """Check a database file and the files beside it; all may be missing.

    Raises:
        StoreUnavailable: the database is not a plain file, or has other names.
        NotPlainFile: a file beside it is not plain, or has other names.
        CorruptRecord: its journal names a file that SQLite would delete.
    """
    database = os.path.realpath(path)  # SQLite's files are beside it, not beside a link to it
    try:
        check_plain(database)
    except NotPlainFile as error:
        raise StoreUnavailable(path, error.reason) from error
    for other in (*(database + each for each in _SUFFIXES), *(path + each for each in _LOCKS)):
        check_plain(other)
    journal = database + "-journal"
    if _last_bytes(journal, len(_NAMES_ANOTHER)) == _NAMES_ANOTHER:
        raise CorruptRecord(journal, "it names another journal, which Treadle's never do")


def _last_bytes(path: str, count: int) -> bytes:
    try:
        descriptor = open_plain(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        os.lseek(descriptor, max(os.fstat(descriptor).st_size - count, 0), os.SEEK_SET)
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)
