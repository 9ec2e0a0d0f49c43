"""Recovery after a crash: the documents catch up with the journals."""

import re
from collections.abc import Iterable, Iterator

from treadle.backends.files._collection_files import (
    CollectionChange,
    combine_lines,
)
from treadle.backends.files._entries import (
    DocumentChange,
    DocumentKey,
    Entry,
    combine,
    decode_entries,
    table_of,
)
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._thread_document import ThreadDocument, advance, read_thread
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.files.documents import Documents
from treadle.backends.model.tables import TableName
from treadle.errors import CorruptRecord, InvalidValue

_PREFIX = "journal-"
_NAME = re.compile(f"{_PREFIX}([0-9]{{16}})")
_LAST = 10**16 - 1
_SYNCED_AT_ONCE = 10_000
"""How many documents of a journal are noted before they are synced.

A journal may have hundreds of thousands. One that is noted again is synced again.
"""


def journal_path(documents: Documents, number: int) -> str:
    """Return the path of a journal file."""
    return documents.own_path(f"{_PREFIX}{number:016d}")


def find_journals(disk: Disk, documents: Documents) -> list[int]:
    """Return the numbers of the journal files, oldest first; files with other names are ignored."""
    names = map(_NAME.fullmatch, disk.list_names(documents.own_folder, ""))
    return sorted(int(name[1]) for name in names if name is not None)


def read_journal(disk: Disk, documents: Documents, number: int) -> Iterator[Entry]:
    """Yield all entries of a journal.

    Raises:
        CorruptRecord: a record that had been synced is damaged, or is not what Treadle writes.
    """
    path = journal_path(documents, number)
    journal = Journal(disk, path, Position(number))
    try:
        for record in journal.read_on():
            yield from decode_entries(record, path)
    finally:
        journal.close()


def check_journal(disk: Disk, documents: Documents, name: str) -> None:
    """Check that `recover` could use a journal; nothing is written.

    Raises:
        CorruptRecord: it could not, or its name is no journal's.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise CorruptRecord(documents.where_own(name), "its name is not a journal's")
    number = int(found[1])
    _check_last(documents, number)
    entries = list(read_journal(disk, documents, number))
    combine_lines(entries, documents.collections)
    for _ in _contents(documents, entries):
        pass


def checkpoint(disk: Disk, documents: Documents, numbers: list[int]) -> None:
    """Sync the documents that journals have entries for, and remove the journals.

    The documents are written already. A document may be replaced, while this runs, by one that is
    not synced yet: then a later journal has it.
    """
    for number in numbers:
        keys: set[DocumentKey] = set()
        for entry in read_journal(disk, documents, number):
            keys.add((table_of(entry), entry.key))
            if len(keys) == _SYNCED_AT_ONCE:
                _sync(documents, keys)
                keys.clear()
        _sync(documents, keys)
        documents.sync_folders()
        disk.remove(journal_path(documents, number))


def _sync(documents: Documents, keys: Iterable[DocumentKey]) -> None:
    for table, key in sorted(keys):
        if table == "documents":
            documents.collections.sync(key)
        else:
            documents.sync(table, key)


def recover(disk: Disk, documents: Documents) -> int:
    """Write the documents that the journals are ahead of, sync them, and remove the journals.

    Returns the number of the newest journal, 0 if there was none.

    Raises:
        CorruptRecord: a record that had been synced is damaged, or is not what Treadle writes.
    """
    documents.clear_temporary()
    numbers = find_journals(disk, documents)
    newest = numbers[-1] if numbers else 0
    _check_last(documents, newest)
    replay(documents, [e for number in numbers for e in read_journal(disk, documents, number)])
    checkpoint(disk, documents, numbers)
    return newest


def replay(documents: Documents, entries: Iterable[Entry]) -> None:
    """Write the documents that committed entries are ahead of.

    Raises:
        CorruptRecord: entries change what is not there or cannot be read; nothing is written.
    """
    entries = tuple(entries)
    collections = _collections(documents, entries)
    for (table, key), change, content in list(_contents(documents, entries)):
        if content is None:
            documents.replace(table, key, None)
        elif not _is_up_to_date(documents, table, key, change, content):
            documents.replace(table, key, [content])
    for name, lines in collections.items():
        documents.collections.write(name, lines)


def _collections(documents: Documents, entries: Iterable[Entry]) -> dict[str, CollectionChange]:
    """Return the lines that committed entries write, each checked to follow those before it."""
    changes = combine_lines(entries, documents.collections)
    for name, change in changes.items():
        documents.collections.check(name, change)
    return changes


def _contents(
    documents: Documents, entries: Iterable[Entry]
) -> Iterator[tuple[DocumentKey, DocumentChange, bytes | None]]:
    """Yield the documents after committed entries; None: there is none."""
    for (table, key), change in combine(entries).items():
        if change.steps:
            yield (table, key), change, _advanced(documents, key, change)
        else:
            yield (table, key), change, None if change.whole is None else bytes(change.whole)


def _check_last(documents: Documents, number: int) -> None:
    if number >= _LAST:
        reason = "no journal can follow it, so Treadle has not written it"
        raise CorruptRecord(journal_path(documents, number), reason)


def _advanced(documents: Documents, key: str, change: DocumentChange) -> bytes:
    """Return the document of a thread after its steps."""
    where = documents.where("threads", key)
    data: Bytes | None = None
    if change.whole is not None:
        data = bytes(change.whole)
    elif not change.was_removed:
        data = documents.read("threads", key)
    if data is None:
        raise CorruptRecord(where, "the journal changes it, but it is not there")
    try:
        head = advance(read_thread(key, data, where), change.steps)
    except (CorruptRecord, InvalidValue) as error:
        reason = f"the journal changes it in a way that does not fit: {error.reason}"
        raise CorruptRecord(where, reason) from error
    return b"".join(ThreadDocument(head).parts())


def _is_up_to_date(
    documents: Documents, table: TableName, key: str, change: DocumentChange, content: bytes
) -> bool:
    """Return True if a document has the content, or a newer one that another program wrote."""
    where = documents.where(table, key)
    try:
        found = documents.read(table, key)
        if found is None or found == content:
            return found is not None
        if table != "threads" or change.was_removed:  # versions start again after a removal
            return False
        return read_thread(key, found, where).version > read_thread(key, content, where).version
    except CorruptRecord:
        return False
