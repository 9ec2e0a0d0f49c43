"""The documents: a JSON file for each thread, run, entry and mailbox, as the reference has it."""

import errno
import os
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.memory.tables import TableName
from treadle.core.ids import IdKind, check_id
from treadle.errors import CorruptRecord, InvalidId, InvalidValue, SchemaTooNew

FORMAT = 1
FOLDERS: dict[TableName, str] = {
    "threads": "",
    "runs": "_runs",
    "entries": "_mailbox",
    "mailboxes": "_mailbox_threads",
}
_SUFFIX = ".json"
_OWN_FOLDER = "_treadle"
_OUR_NAMES = {_OWN_FOLDER, *FOLDERS.values()} - {""}


class _Format(msgspec.Struct):
    format: int


class Documents:
    """The files under a store's folder; whatever else Treadle needs lies in `_treadle/`."""

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self.root = root
        self.own_folder = os.path.join(root, _OWN_FOLDER)
        self._temporary = os.path.join(self.own_folder, "tmp")
        self._deltas = os.path.join(self.own_folder, "deltas")
        self._folders = {
            table: os.path.join(root, name) if name else root for table, name in FOLDERS.items()
        }

    def make_folders(self) -> None:
        """Make what folders are missing.

        Raises:
            InvalidValue: the folder holds other things, and no store.
        """
        self._check_owner()
        for folder in (*self._folders.values(), self.own_folder, self._temporary, self._deltas):
            self._disk.make_folder(folder)

    def is_store(self) -> bool:
        """Whether the folder holds a store, of ours or of the reference's."""
        names = self._disk.list_all(self.root)
        return any(name in _OUR_NAMES or name.endswith(_SUFFIX) for name in names)

    def check_format(self) -> None:
        """See that it is a store that we can read; mark a new one. To be called under the lock.

        Raises:
            SchemaTooNew: a newer Treadle wrote it.
            CorruptRecord: it cannot be told who wrote it.
        """
        path = self.own_path("format.json")
        if not self._disk.exists(path):
            data = msgspec.json.encode(_Format(FORMAT))
            self._disk.place(path, [data], self._temporary, sync=True)
            self.sync_folders()
        try:
            found = msgspec.json.decode(self._disk.read(path), type=_Format).format
        except msgspec.DecodeError as error:
            raise CorruptRecord(path, str(error)) from error
        if found > FORMAT:
            raise SchemaTooNew(self.root, found, FORMAT)

    def _check_owner(self) -> None:
        """Refuse to strew a store over somebody's folder; hidden names are nobody's."""
        names = self._disk.list_all(self.root)  # once: others may be making folders
        if not _OUR_NAMES.isdisjoint(names):
            return
        for name in names:
            if not name.startswith(".") and not name.endswith(_SUFFIX) and name != "lost+found":
                reason = f"{self.root} holds other things ({name!r}) and no store"
                advice = "name a folder in it, or one that is empty"
                raise InvalidValue("url", f"{reason}; {advice}")

    def own_path(self, name: str) -> str:
        """The path of one of Treadle's own files."""
        return os.path.join(self.own_folder, name)

    def delta_path(self, thread_id: str) -> str:
        """Where a thread's deltas are kept."""
        return os.path.join(self._deltas, thread_id + ".jsonl")

    def folder(self, table: TableName) -> str:
        """Where a table's documents lie."""
        return self._folders[table]

    def path(self, table: TableName, key: str) -> str:
        """The path of a document."""
        return f"{self._folders[table]}{os.sep}{key}{_SUFFIX}"

    def where(self, table: TableName, key: str) -> str:
        """The document's place as errors name it."""
        return os.path.join(FOLDERS[table], key + _SUFFIX)

    def names(self, table: TableName) -> Iterator[str]:
        """The ids that have a document; files whose name is no id are none of ours."""
        kind: IdKind = "thread" if table == "threads" else "entry"
        for name in self._disk.list_names(self._folders[table], _SUFFIX):
            try:
                yield check_id(kind, name)
            except InvalidId:
                continue

    def exists(self, table: TableName, key: str) -> bool:
        """Whether something stands in the document's place."""
        return self._disk.exists(self.path(table, key))

    def read(self, table: TableName, key: str) -> bytes | None:
        """A document, or None.

        Raises:
            CorruptRecord: a link or a folder stands in its place.
        """
        try:
            return self._disk.read(self.path(table, key))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP or isinstance(error, IsADirectoryError):
                reason = "it is not a plain file but a link or a folder"
                raise CorruptRecord(self.where(table, key), reason) from error
            raise

    def place(self, table: TableName, key: str, parts: Sequence[Bytes]) -> None:
        """Put a document in place, whole, not synced."""
        self._disk.place(self.path(table, key), parts, self._temporary)

    def remove(self, table: TableName, key: str) -> None:
        """Take a document away, if it is there."""
        self._disk.remove(self.path(table, key))

    def sync(self, table: TableName, key: str) -> None:
        """Make a document survive a power failure."""
        self._disk.sync(self.path(table, key))

    def sync_folders(self) -> None:
        """Make the names of all documents survive a power failure."""
        for folder in (*self._folders.values(), self.own_folder):
            self._disk.sync_folder(folder)

    def clear_temporary(self) -> None:
        """Remove what writers that died have left behind."""
        for name in list(self._disk.list_names(self._temporary, "")):
            self._disk.remove(os.path.join(self._temporary, name))

    def folds_case(self) -> bool:
        """Whether the file system takes `a` and `A` for the same name."""
        return self._disk.exists(self.own_path("FORMAT.JSON"))


def fold(key: str) -> str:
    """What a file system that folds case, or normalises Unicode, makes of a name."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", key).casefold())
