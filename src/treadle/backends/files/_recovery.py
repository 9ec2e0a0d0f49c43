"""After a crash: the documents are brought to where the journals are."""

from collections.abc import Iterable

from treadle.backends.files._entries import (
    DocumentChange,
    Entry,
    combine,
    decode_entries,
)
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._thread_document import ThreadDocument, advance, read_thread
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.files.documents import Documents
from treadle.backends.model.tables import TableName
from treadle.errors import CorruptRecord

_PREFIX = "journal-"


def journal_path(documents: Documents, number: int) -> str:
    """Return the path of a journal file."""
    return documents.own_path(f"{_PREFIX}{number:016d}")


def find_journals(disk: Disk, documents: Documents) -> list[int]:
    """Return the numbers of the journal files, oldest first."""
    names = disk.list_names(documents.own_folder, "")
    digits = (name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))
    return sorted(int(number) for number in digits if number.isdecimal())


def read_journal(disk: Disk, documents: Documents, number: int) -> list[Entry]:
    """Return all entries of a journal.

    Raises:
        CorruptRecord: a record that had been synced is damaged.
    """
    journal = Journal(disk, journal_path(documents, number), Position(number))
    try:
        return [entry for record in journal.read_on() for entry in decode_entries(record.payload)]
    finally:
        journal.close()


def checkpoint(disk: Disk, documents: Documents, numbers: list[int], *, sync: bool) -> None:
    """Sync the documents that journals have entries for, and remove the journals.

    The documents are written already. A document may be replaced, while this runs, by one that is
    not synced yet: then a later journal has it.
    """
    for number in numbers:
        if sync:
            for table, key in combine(read_journal(disk, documents, number)):
                documents.sync(table, key)
            documents.sync_folders()
        disk.remove(journal_path(documents, number))


def recover(disk: Disk, documents: Documents, *, sync: bool) -> int:
    """Write the documents that the journals are ahead of, sync them, and remove the journals.

    Returns the number of the newest journal, 0 if there was none.

    Raises:
        CorruptRecord: a record that had been synced is damaged.
    """
    documents.clear_temporary()
    numbers = find_journals(disk, documents)
    replay(documents, [e for number in numbers for e in read_journal(disk, documents, number)])
    checkpoint(disk, documents, numbers, sync=sync)
    return numbers[-1] if numbers else 0


def replay(documents: Documents, entries: Iterable[Entry]) -> None:
    """Write the documents that committed entries are ahead of."""
    for (table, key), change in combine(entries).items():
        if change.appended:
            content = _appended(documents, key, change)
        elif change.whole is not None:
            content = bytes(change.whole)
        else:
            documents.replace(table, key, None)
            continue
        if not _is_up_to_date(documents, table, key, change, content):
            documents.replace(table, key, [content])


def _appended(documents: Documents, key: str, change: DocumentChange) -> bytes:
    """Return the document of a thread after what was appended to it."""
    where = documents.where("threads", key)
    data: Bytes | None = None
    if change.whole is not None:
        data = bytes(change.whole)
    elif not change.was_removed:
        data = documents.read("threads", key)
    if data is None:
        raise CorruptRecord(where, "the journal appends to it, but it is not there")
    head = advance(read_thread(key, data, where), change.appended)
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
