"""The JSON files of a store: one for each thread, run, entry and mailbox, laid out as in tirea.

What `store.documents` keeps is in `collections`, as lines of one file for each collection.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends._plain_files import NotPlainFile
from treadle.backends.files._collection_files import CollectionFiles
from treadle.backends.files._decoding import plain_text
from treadle.backends.files._names import check_file_name, read_file
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.model.tables import TableName
from treadle.core.ids import IdKind, is_id
from treadle.errors import CorruptRecord, InvalidValue, SchemaTooNew, StoreUnavailable

FORMAT = 1
FOLDERS: dict[TableName, str] = {
    "threads": "",
    "runs": "_runs",
    "entries": "_mailbox",
    "mailboxes": "_mailbox_threads",
}
_KINDS: dict[TableName, IdKind] = {
    "threads": "thread",
    "runs": "run",
    "entries": "entry",
    "mailboxes": "mailbox",
    "documents": "collection",
}
_SUFFIX = ".json"
_PREFIXES = {table: folder + os.sep if folder else "" for table, folder in FOLDERS.items()}
_OWN_FOLDER = "_treadle"
_OUR_NAMES = {_OWN_FOLDER, *FOLDERS.values()} - {""}


class _Format(msgspec.Struct):
    format: int


class JsonFiles:
    """The files in a store's folder; Treadle's own files are in `_treadle/`."""

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self.root = root
        self.damage = DamageLog(root)
        self.own_folder = os.path.join(root, _OWN_FOLDER)
        self._temporary = os.path.join(self.own_folder, "tmp")
        self._deltas = os.path.join(self.own_folder, "deltas")
        self.collections = CollectionFiles(
            disk, os.path.join(self.own_folder, "documents"), self._temporary
        )
        self._folders = {
            table: os.path.join(root, name) if name else root for table, name in FOLDERS.items()
        }

    def check_system(self) -> None:
        """Check that ids can be in the names of files, which are UTF-8 in every store.

        Raises:
            StoreUnavailable: Python was started to read the names of files in another encoding.
        """
        encoding = sys.getfilesystemencoding()
        if encoding not in ("utf-8", "utf8"):
            reason = f"names of files are UTF-8, and Python takes them for {encoding}"
            advice = "set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8"
            raise StoreUnavailable(self.root, f"{reason}; {advice}")

    def make_folders(self) -> None:
        """Create the missing folders, for those who may use Treadle's own one.

        Raises:
            InvalidValue: the folder holds other files and no store.
        """
        self._check_owner()
        self._disk.make_folder(self.own_folder)
        for folder in (
            *self._folders.values(),
            self._temporary,
            self._deltas,
            self.collections.folder,
        ):
            self._disk.make_folder(folder, like=self.own_folder)

    def is_store(self) -> bool:
        """Return True if the folder holds a store, written by Treadle or by tirea."""
        names = self._disk.list_all(self.root)
        return any(name in _OUR_NAMES or name.endswith(_SUFFIX) for name in names)

    def check_format(self) -> None:
        """Check that this version can read the store, and mark a new one. Call it under the lock.

        Raises:
            SchemaTooNew: a newer Treadle wrote it.
            CorruptRecord: its `format.json` cannot be read.
        """
        path = self.own_path("format.json")
        if not self._disk.exists(path):
            data = msgspec.json.encode(_Format(FORMAT))
            self._disk.write_atomically(path, [data], self._temporary, sync=True)
            self.sync_folders()
        found = self.read_format()
        if found > FORMAT:
            raise SchemaTooNew(self.root, found, FORMAT)

    def read_format(self) -> int:
        """Return the format of the store.

        Raises:
            CorruptRecord: its `format.json` cannot be read.
        """
        path = self.own_path("format.json")
        try:
            return msgspec.json.decode(plain_text(self._disk.read(path), path), type=_Format).format
        except NotPlainFile as error:
            raise CorruptRecord(path, error.reason) from error
        except (ValueError, RecursionError) as error:
            raise CorruptRecord(path, str(error)) from error

    def _check_owner(self) -> None:
        """Refuse to create a store among somebody else's files; hidden files do not count."""
        names = self._disk.list_all(self.root)  # only once: others may be creating folders
        if not _OUR_NAMES.isdisjoint(names):
            return
        for name in names:
            if not name.startswith(".") and not name.endswith(_SUFFIX) and name != "lost+found":
                reason = f"{self.root} holds other files ({name!r}) and no store"
                advice = "name a folder inside it, or an empty one"
                raise InvalidValue("url", f"{reason}; {advice}")

    def own_path(self, name: str) -> str:
        """Return the path of one of Treadle's own files."""
        return os.path.join(self.own_folder, name)

    def where_own(self, name: str) -> str:
        """Return the path of one of Treadle's own files, as errors name it."""
        return os.path.join(_OWN_FOLDER, name)

    def delta_paths(self) -> Iterator[str]:
        """Yield the path of everything that is where the delta files are."""
        for name in self._disk.list_all(self._deltas):
            yield os.path.join(self._deltas, name)

    def delta_path(self, thread_id: str) -> str:
        """Return the path of a thread's delta file."""
        return f"{self._deltas}{os.sep}{thread_id}.jsonl"

    def folder(self, table: TableName) -> str:
        """Return the folder of a table's documents."""
        return self._folders[table]

    def path(self, table: TableName, key: str) -> str:
        """Return the path of a JSON file.

        Raises:
            InvalidId: the key is not an id, and its path might lead out of the folder.
        """
        check_file_key(table, key)
        return f"{self._folders[table]}{os.sep}{key}{_SUFFIX}"

    def where(self, table: TableName, key: str) -> str:
        """Return the path of a JSON file relative to the store's folder, as errors name it."""
        return f"{_PREFIXES[table]}{key}{_SUFFIX}"

    def names(self, table: TableName) -> Iterator[str]:
        """Return the ids that have a JSON file; files whose names are not ids are ignored."""
        return filter(is_id, self._disk.list_names(self._folders[table], _SUFFIX))

    def exists(self, table: TableName, key: str) -> bool:
        """Return True if there is anything at the JSON file's path."""
        return self._disk.exists(self.path(table, key))

    def read(self, table: TableName, key: str) -> bytes | None:
        """Return a JSON file, or None.

        Raises:
            CorruptRecord: a link, a folder or a pipe is at its path, the disk or its permissions do
                not let it be read, or it is UTF-16.
        """
        where = self.where(table, key)
        data = read_file(self._disk, self.path(table, key), where)
        return None if data is None else plain_text(data, where)

    def replace(self, table: TableName, key: str, parts: Sequence[Bytes] | None) -> None:
        """Write a JSON file atomically, without a sync; None removes it."""
        if parts is None:
            self._disk.remove(self.path(table, key))
        else:
            self._disk.write_atomically(self.path(table, key), parts, self._temporary)

    def sync(self, table: TableName, key: str) -> None:
        """Make a JSON file survive a power failure."""
        self._disk.sync(self.path(table, key))

    def sync_folders(self) -> None:
        """Make the names in all folders survive a power failure."""
        for folder in self._with_names():
            self._disk.sync_folder(folder)

    def changed_at(self) -> tuple[int | None, ...]:
        """Return when names in each of the folders were changed last: see `Disk.changed_at`."""
        return tuple(map(self._disk.changed_at, self._with_names()))

    def _with_names(self) -> tuple[str, ...]:
        """Return the folders that have documents, collections and journals."""
        return (*self._folders.values(), self.collections.folder, self.own_folder)

    def clear_temporary(self) -> None:
        """Remove the temporary files of processes that died."""
        for name in list(self._disk.list_names(self._temporary, "")):
            self._disk.remove(os.path.join(self._temporary, name))

    def folds_case(self) -> bool:
        """Return True if the file system does not distinguish `a` from `A` in names."""
        return self._disk.exists(self.own_path("FORMAT.JSON"))


def check_file_key(table: TableName, key: str) -> None:
    """Check that an id can be in the name of a JSON file on this system.

    Raises:
        InvalidId: it cannot; its path might lead out of the folder, or to another file.
    """
    check_file_name(_KINDS[table], key)


def fold(key: str) -> str:
    """Return a name as a file system compares it that folds case and normalises Unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", key).casefold())
