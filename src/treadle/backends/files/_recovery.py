"""Recovery after a crash: the JSON files catch up with the journals."""

import re
from collections.abc import Iterable, Iterator, Sequence

from treadle.backends.files._collection_files import (
    CollectionChange,
    combine_lines,
)
from treadle.backends.files._encoded_thread import EncodedThread, advance, read_thread
from treadle.backends.files._entries import (
    Entry,
    FileChange,
    FileKey,
    combine,
    decode_entries,
    table_of,
)
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._journal_shares import JournalShares
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import TableName
from treadle.errors import CorruptRecord, InvalidValue

_PREFIX = "journal-"
_NAME = re.compile(f"{_PREFIX}([0-9]{{16}})")
_LAST = 10**16 - 1
_SYNCED_AT_ONCE = 10_000
"""How many JSON files of a journal are noted before they are synced.

A journal may have hundreds of thousands. One that is noted again is synced again.
"""


_REPLAYED_AT_ONCE = 64 * 2**20
"""Of how many bytes of journals the entries are in memory at a time, with the files they write."""


def journal_path(files: JsonFiles, number: int) -> str:
    """Return the path of a journal file."""
    return files.own_path(f"{_PREFIX}{number:016d}")


def find_journals(disk: Disk, files: JsonFiles) -> list[int]:
    """Return the numbers of the journal files, oldest first; files with other names are ignored."""
    names = map(_NAME.fullmatch, disk.list_names(files.own_folder, ""))
    return sorted(int(name[1]) for name in names if name is not None)


def read_journal(disk: Disk, files: JsonFiles, number: int) -> Iterator[Entry]:
    """Yield all entries of a journal.

    Raises:
        CorruptRecord: a record that had been synced is damaged, or is not what Treadle writes.
    """
    path = journal_path(files, number)
    journal = Journal(disk, path, Position(number))
    try:
        for record in journal.read_on():
            yield from decode_entries(record, path)
    finally:
        journal.close()


def check_journal(disk: Disk, files: JsonFiles, name: str) -> None:
    """Check that `recover` could use a journal; nothing is written.

    Raises:
        CorruptRecord: it could not, or its name is no journal's.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise CorruptRecord(files.where_own(name), "its name is not a journal's")
    number = int(found[1])
    _check_last(files, number)
    entries = list(read_journal(disk, files, number))
    combine_lines(entries, files.collections)
    for _ in _contents(files, entries):
        pass


def checkpoint(disk: Disk, files: JsonFiles, numbers: list[int]) -> None:
    """Sync the JSON files that journals have entries for, and remove the journals.

    The JSON files are written already. A JSON file may be replaced, while this runs, by one that is
    not synced yet: then a later journal has it.
    """
    for number in numbers:
        keys: set[FileKey] = set()
        for entry in read_journal(disk, files, number):
            keys.add((table_of(entry), entry.key))
            if len(keys) == _SYNCED_AT_ONCE:
                _sync(files, keys)
                keys.clear()
        _sync(files, keys)
        files.sync_folders()
        disk.remove(journal_path(files, number))


def _sync(files: JsonFiles, keys: Iterable[FileKey]) -> None:
    for table, key in sorted(keys):
        if table == "documents":
            files.collections.sync(key)
        else:
            files.sync(table, key)


def recover(disk: Disk, files: JsonFiles) -> int:
    """Write the JSON files that the journals are ahead of, sync them, and remove the journals.

    Returns the number of the newest journal, 0 if there was none.

    Raises:
        CorruptRecord: a record that had been synced is damaged, or is not what Treadle writes.
    """
    files.clear_temporary()
    numbers = find_journals(disk, files)
    newest = numbers[-1] if numbers else 0
    _check_last(files, newest)
    paths = [(number, journal_path(files, number)) for number in numbers]
    shares = JournalShares(disk, paths, _REPLAYED_AT_ONCE)
    if shares.count > 1:  # nothing is written unless all can be
        for share in range(shares.count):
            _check(files, tuple(shares.entries(share)))
    for share in range(shares.count):
        replay(files, shares.entries(share))
    checkpoint(disk, files, numbers)
    return newest


def _check(files: JsonFiles, entries: Sequence[Entry]) -> None:
    """Check that `replay` can write what entries say; nothing is written.

    Raises:
        CorruptRecord: it cannot.
    """
    _collections(files, entries)
    for _ in _contents(files, entries):
        pass


def replay(files: JsonFiles, entries: Iterable[Entry]) -> None:
    """Write the JSON files that committed entries are ahead of.

    Raises:
        CorruptRecord: entries change what is not there or cannot be read; nothing is written.
    """
    entries = tuple(entries)
    collections = _collections(files, entries)
    for (table, key), change, content in list(_contents(files, entries)):
        if content is None:
            files.replace(table, key, None)
        elif not _is_up_to_date(files, table, key, change, content):
            files.replace(table, key, [content])
    for name, lines in collections.items():
        files.collections.write(name, lines)


def _collections(files: JsonFiles, entries: Iterable[Entry]) -> dict[str, CollectionChange]:
    """Return the lines that committed entries write, each checked to follow those before it."""
    changes = combine_lines(entries, files.collections)
    for name, change in changes.items():
        files.collections.check(name, change)
    return changes


def _contents(
    files: JsonFiles, entries: Iterable[Entry]
) -> Iterator[tuple[FileKey, FileChange, bytes | None]]:
    """Yield the JSON files after committed entries; None: there is none."""
    for (table, key), change in combine(entries).items():
        if change.steps:
            yield (table, key), change, _advanced(files, key, change)
        else:
            yield (table, key), change, None if change.whole is None else bytes(change.whole)


def _check_last(files: JsonFiles, number: int) -> None:
    if number >= _LAST:
        reason = "no journal can follow it, so Treadle has not written it"
        raise CorruptRecord(journal_path(files, number), reason)


def _advanced(files: JsonFiles, key: str, change: FileChange) -> bytes:
    """Return the JSON file of a thread after its steps."""
    where = files.where("threads", key)
    data: Bytes | None = None
    if change.whole is not None:
        data = bytes(change.whole)
    elif not change.was_removed:
        data = files.read("threads", key)
    if data is None:
        raise CorruptRecord(where, "the journal changes it, but it is not there")
    try:
        head = advance(read_thread(key, data, where), change.steps)
    except (CorruptRecord, InvalidValue) as error:
        reason = f"the journal changes it in a way that does not fit: {error.reason}"
        raise CorruptRecord(where, reason) from error
    return b"".join(EncodedThread(head).parts())


def _is_up_to_date(
    files: JsonFiles, table: TableName, key: str, change: FileChange, content: bytes
) -> bool:
    """Return True if a JSON file has the content, or a newer one that another program wrote."""
    where = files.where(table, key)
    try:
        found = files.read(table, key)
        if found is None or found == content:
            return found is not None
        if table != "threads" or change.was_removed:  # versions start again after a removal
            return False
        return read_thread(key, found, where).version > read_thread(key, content, where).version
    except CorruptRecord:
        return False
