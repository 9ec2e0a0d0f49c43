"""After a crash: what the journals say and the documents lack is put in place."""

import msgspec

from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.backends.files.effects import Append, Effect, Place, Remove, from_payload, key_of
from treadle.backends.files.journal import Journal, Position
from treadle.backends.files.threads import ThreadDocument, read_thread
from treadle.backends.model.tables import TableName
from treadle.core.codec import decode
from treadle.core.threads import ThreadDelta, ThreadHead, appended
from treadle.errors import CorruptRecord

_PREFIX = "journal-"


def journal_path(documents: Documents, number: int) -> str:
    """The path of a journal file."""
    return documents.own_path(f"{_PREFIX}{number:016d}")


def find_journals(disk: Disk, documents: Documents) -> list[int]:
    """The numbers of the journals that are there, oldest first."""
    names = disk.list_names(documents.own_folder, "")
    digits = (name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX))
    return sorted(int(number) for number in digits if number.isdecimal())


def read_effects(disk: Disk, documents: Documents, number: int) -> list[Effect]:
    """All that a journal says.

    Raises:
        CorruptRecord: a record that had been synced is damaged.
    """
    journal = Journal(disk, journal_path(documents, number), Position(number))
    try:
        return [effect for record in journal.read_on() for effect in from_payload(record.payload)]
    finally:
        journal.close()


def checkpoint(disk: Disk, documents: Documents, numbers: list[int], *, sync: bool) -> None:
    """Make the documents that journals speak of survive, and remove the journals.

    The documents are in place already. One that a later journal speaks of too may be replaced
    meanwhile by one that is not synced yet: the later journal has it whole.
    """
    for number in numbers:
        if sync:
            effects = read_effects(disk, documents, number)
            for table, key in dict.fromkeys(map(key_of, effects)):
                documents.sync(table, key)
            documents.sync_folders()
        disk.remove(journal_path(documents, number))


def recover(disk: Disk, documents: Documents, *, sync: bool) -> int:
    """Put in place what the journals say, make it survive, and remove them.

    Returns the number of the newest journal there was, 0 for none.

    Raises:
        CorruptRecord: a record that had been synced is damaged.
    """
    documents.clear_temporary()
    numbers = find_journals(disk, documents)
    replay = Replay(documents)
    for number in numbers:
        for effect in read_effects(disk, documents, number):
            replay.add(effect)
    replay.put_in_place()
    checkpoint(disk, documents, numbers, sync=sync)
    return numbers[-1] if numbers else 0


class Replay:
    """The documents as the journals leave them."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._final: dict[tuple[TableName, str], bytes | ThreadHead | None] = {}
        self._removed: set[str] = set()

    def add(self, effect: Effect) -> None:
        """The next effect, in the order of the journals."""
        key = key_of(effect)
        match effect:
            case Place(document=document):
                self._final[key] = bytes(document)
            case Remove():
                self._final[key] = None
                self._removed.add(effect.key)
            case Append(deltas=deltas):
                self._final[key] = self._append(effect.key, deltas)

    def put_in_place(self) -> None:
        """Write the documents that are not as they should be."""
        for (table, key), final in self._final.items():
            if final is None:
                self._documents.remove(table, key)
                continue
            data = _bytes_of(final)
            if self._is_there(table, key, data):
                continue
            if table == "threads" and key not in self._removed and self._is_newer(key, data):
                continue
            self._documents.write(table, key, [data])

    def _append(self, key: str, deltas: tuple[msgspec.Raw, ...]) -> ThreadHead:
        head = self._head(key)
        for delta in (decode(ThreadDelta, bytes(raw)) for raw in deltas):
            if delta.version > head.version:
                head = appended(head, delta.changes, delta.committed_at)
        return head

    def _head(self, key: str) -> ThreadHead:
        """The thread as it is so far: as replayed, or else as it lies in its document."""
        before = self._final.get(("threads", key))
        if isinstance(before, ThreadHead):
            return before
        where = self._documents.where("threads", key)
        data = self._documents.read("threads", key) if before is None else before
        if data is None:
            raise CorruptRecord(where, "the journal appends to it, but it is not there")
        return read_thread(key, data, where)

    def _is_there(self, table: TableName, key: str, data: bytes) -> bool:
        try:
            return self._documents.read(table, key) == data
        except CorruptRecord:
            return False

    def _is_newer(self, key: str, data: bytes) -> bool:
        """Whether another program has gone on with the thread since the crash."""
        where = self._documents.where("threads", key)
        try:
            found = self._documents.read("threads", key)
            if found is None:
                return False
            return read_thread(key, found, where).version > read_thread(key, data, where).version
        except CorruptRecord:
            return False


def _bytes_of(final: bytes | ThreadHead) -> bytes:
    return b"".join(ThreadDocument(final).parts()) if isinstance(final, ThreadHead) else final
