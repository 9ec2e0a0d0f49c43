"""Find the files in a store's folder that cannot be read, and move them aside when asked to."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from treadle.backends._closing import close_all
from treadle.backends._deadline import CALL_SECONDS, Patience
from treadle.backends._modes import can_write
from treadle.backends._plain_files import NotPlainFile, check_plain
from treadle.backends.files._cache import row_reader
from treadle.backends.files._collection_files import CollectionChange
from treadle.backends.files._collection_index import CollectionIndex
from treadle.backends.files._engine import Engine
from treadle.backends.files._lock import PresenceLock, WriterLock
from treadle.backends.files._read_only import OverlaidDisk, ReadOnlyEngine
from treadle.backends.files._recovery import check_journal
from treadle.backends.files._thread_document import read_thread
from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.backends.findings import Finding, Report
from treadle.backends.model.tables import TableName
from treadle.clock import system_clock
from treadle.core.ids import check_id
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.core.threads import ThreadHead
from treadle.errors import CorruptRecord, InvalidId, StoreUnavailable

Reader = Callable[[str, bytes], object]
_ASIDE = "aside"
_LOCKS = ("lock", "open", "queue", "live")


def examine(root: str | os.PathLike[str]) -> Report:
    """Open the store, which does what a crash has left undone, and read every document.

    If nothing can be written there, the store is opened to read only.

    Raises:
        StoreUnavailable: the folder cannot be read, or another process kept its lock.
        CorruptRecord: the store cannot be opened, and moving a file aside would not help.
        SchemaTooNew: a newer Treadle wrote it.
    """
    folder = os.fspath(root)
    is_writable = can_write(folder)
    refused = _open_and_close(folder, is_writable=is_writable)
    disk = Disk() if is_writable else OverlaidDisk()
    documents = Documents(disk, os.path.abspath(root))
    findings = [*_examine_own_files(disk, documents)]
    if refused is not None and not findings:
        raise refused
    count = 0
    for table, read in _readers(documents).items():
        for file_name in disk.list_all(documents.folder(table)):
            name = file_name.removesuffix(".json")
            if name == file_name:
                continue
            count += 1
            reason = _examine(documents, table, name, read)
            if reason is not None:
                findings.append(Finding(path=documents.where(table, name), reason=reason))
    for name in disk.list_all(documents.collections.folder):
        lines, found = _examine_collection(documents, name)
        count += lines
        findings += found
    return Report(documents=count, findings=tuple(findings))


def _open_and_close(folder: str, *, is_writable: bool) -> CorruptRecord | None:
    """Open and close a store; return the error if it is damaged."""
    engine = (
        Engine(folder, system_clock, "full")
        if is_writable
        else ReadOnlyEngine(folder, system_clock)
    )
    try:
        engine.open(Patience.of(CALL_SECONDS))
    except CorruptRecord as error:
        return error
    engine.close()
    return None


def move_aside(root: str | os.PathLike[str], report: Report) -> tuple[str, ...]:
    """Move what the report found to `_treadle/aside`.

    Returns the new paths, relative to the store's folder.

    Raises:
        StoreUnavailable: another process has the store open, or a file cannot be moved.
    """
    disk = Disk()
    documents = Documents(disk, os.path.abspath(root))
    # Something else in the place of a lock file is not a lock: moving it makes room for one.
    first = [each for each in report.findings if os.path.basename(each.path) in _LOCKS]
    rest = [each for each in report.findings if each not in first]
    try:
        disk.make_folder(documents.own_path(_ASIDE), like=documents.own_folder)
        moved = [_move(disk, documents, finding) for finding in first]
        with _alone(disk, documents):
            moved += [_move(disk, documents, finding) for finding in _once(documents, rest)]
    except OSError as error:
        raise StoreUnavailable(documents.root, str(error)) from error
    return tuple(moved)


def _once(documents: Documents, findings: list[Finding]) -> Iterator[Finding]:
    """Yield one finding for each file: all damaged lines of a collection are moved together."""
    seen: set[str] = set()
    for finding in findings:
        if finding.path in seen and _is_in_collection(documents, finding):
            continue
        seen.add(finding.path)
        yield finding


@contextmanager
def _alone(disk: Disk, documents: Documents) -> Generator[None]:
    """Keep the store's locks for the duration of the block.

    Raises:
        StoreUnavailable: another process has the store open.
    """
    lock, presence = WriterLock(disk, documents), PresenceLock(disk, documents)
    try:
        lock.open()
        presence.open()
        with lock.hold(Patience.of(CALL_SECONDS)):
            if not presence.is_alone():
                reason = "another process has it open; stop it, then run this again"
                raise StoreUnavailable(documents.root, reason)
            yield
    finally:
        close_all(presence.close, lock.close)


def _examine_own_files(disk: Disk, documents: Documents) -> Iterator[Finding]:
    """Examine Treadle's own files; what cannot be opened, or written, is found."""
    for name in disk.list_all(documents.own_folder):
        try:
            if name in _LOCKS:
                check_plain(documents.own_path(name))
            elif name == "format.json":
                documents.read_format()
            elif name.startswith("journal-"):
                check_plain(documents.own_path(name))
                check_journal(disk, documents, name)
        except (CorruptRecord, NotPlainFile) as error:
            yield Finding(path=documents.where_own(name), reason=error.reason)
    for path in documents.delta_paths():
        try:
            check_plain(path)
        except NotPlainFile as error:
            yield Finding(path=os.path.relpath(path, documents.root), reason=error.reason)


def _readers(documents: Documents) -> dict[TableName, Reader]:
    def read_head(key: str, data: bytes) -> ThreadHead:
        return read_thread(key, data, documents.where("threads", key))

    return {
        "threads": read_head,
        "runs": row_reader(documents, "runs", RunRecord),
        "entries": row_reader(documents, "entries", MailboxEntry),
        "mailboxes": row_reader(documents, "mailboxes", MailboxState),
    }


def _examine(documents: Documents, table: TableName, name: str, read: Reader) -> str | None:
    """Return why a document cannot be read; None if it can, or has been removed since."""
    try:
        check_id("thread", name)
        data = documents.read(table, name)
        if data is not None:
            read(name, data)
    except InvalidId as error:
        return f"its name is not an id: {error.reason}"
    except CorruptRecord as error:
        return error.reason
    return None


def _examine_collection(documents: Documents, file_name: str) -> tuple[int, list[Finding]]:
    """Return how many documents a collection's file has, and the lines that cannot be read."""
    files = documents.collections
    name = file_name.removesuffix(".jsonl")
    path = files.where(name)
    if name == file_name:
        return 0, []
    try:
        check_id("collection", name)
        index = CollectionIndex(name, files.read(name), path)
        for key, span in list(index.spans.items()):
            (line,) = files.read_lines(name, [span])
            index.examine(key, line)
    except InvalidId as error:
        return 0, [Finding(path=path, reason=f"its name is not an id: {error.reason}")]
    except CorruptRecord as error:
        return 0, [Finding(path=path, reason=error.reason)]
    findings = [
        Finding(path=path, reason=f"byte {start}: {error.reason}")
        for start, error in index.damaged.items()
    ]
    return len(index.spans), findings


def _move_lines(disk: Disk, documents: Documents, path: str) -> str:
    """Move the damaged lines of a collection's file to a file of their own; return its path."""
    files = documents.collections
    name = os.path.basename(path).removesuffix(".jsonl")
    data = files.read(name)
    index = CollectionIndex(name, data, path)
    for key, span in list(index.spans.items()):
        index.examine(key, data[span[0] : sum(span)])
    damaged = [data[start:].split(b"\n", 1)[0] + b"\n" for start in sorted(index.damaged)]
    kept = [data[start : start + size] + b"\n" for start, size in index.spans.values()]
    target = _free_path(disk, documents, path)
    disk.append(target, b"".join(damaged))
    disk.sync(target)
    whole = CollectionChange(0, is_whole=True, data=bytearray(b"".join(kept)))
    files.write(name, whole)
    files.sync(name)
    return os.path.relpath(target, documents.root)


def _free_path(disk: Disk, documents: Documents, path: str) -> str:
    name = path.replace(os.sep, "-")
    target = os.path.join(documents.own_path(_ASIDE), name)
    number = 1
    while disk.exists(target):
        number += 1
        target = os.path.join(documents.own_path(_ASIDE), f"{name}.{number}")
    return target


def _move(disk: Disk, documents: Documents, finding: Finding) -> str:
    if _is_in_collection(documents, finding):
        return _move_lines(disk, documents, finding.path)
    target = _free_path(disk, documents, finding.path)
    disk.move(os.path.join(documents.root, finding.path), target)
    return os.path.relpath(target, documents.root)


def _is_in_collection(documents: Documents, finding: Finding) -> bool:
    """Return True if only lines of a file are damaged, and not the file."""
    folder = os.path.relpath(documents.collections.folder, documents.root)
    return os.path.dirname(finding.path) == folder and finding.reason.startswith("byte ")
