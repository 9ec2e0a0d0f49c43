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
from treadle.backends.files._encoded_thread import read_thread
from treadle.backends.files._engine import Engine
from treadle.backends.files._lock import PresenceLock, WriterLock
from treadle.backends.files._read_only import OverlaidDisk, ReadOnlyEngine
from treadle.backends.files._recovery import check_journal
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
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
    """Open the store, which does what a crash has left undone, and read every JSON file.

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
    files = JsonFiles(disk, os.path.abspath(root))
    findings = [*_examine_own_files(disk, files)]
    if refused is not None and not findings:
        raise refused
    count = 0
    for table, read in _readers(files).items():
        for file_name in disk.list_all(files.folder(table)):
            name = file_name.removesuffix(".json")
            if name == file_name:
                continue
            count += 1
            reason = _examine(files, table, name, read)
            if reason is not None:
                findings.append(Finding(path=files.where(table, name), reason=reason))
    for name in disk.list_all(files.collections.folder):
        lines, found = _examine_collection(files, name)
        count += lines
        findings += found
    return Report(records=count, findings=tuple(findings))


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
    files = JsonFiles(disk, os.path.abspath(root))
    # Something else in the place of a lock file is not a lock: moving it makes room for one.
    first = [each for each in report.findings if os.path.basename(each.path) in _LOCKS]
    rest = [each for each in report.findings if each not in first]
    try:
        disk.make_folder(files.own_path(_ASIDE), like=files.own_folder)
        moved = [_move(disk, files, finding) for finding in first]
        with _alone(disk, files):
            moved += [_move(disk, files, finding) for finding in _once(files, rest)]
    except OSError as error:
        raise StoreUnavailable(files.root, str(error)) from error
    return tuple(moved)


def _once(files: JsonFiles, findings: list[Finding]) -> Iterator[Finding]:
    """Yield one finding for each file: all damaged lines of a collection are moved together."""
    seen: set[str] = set()
    for finding in findings:
        if finding.path in seen and _is_in_collection(files, finding):
            continue
        seen.add(finding.path)
        yield finding


@contextmanager
def _alone(disk: Disk, files: JsonFiles) -> Generator[None]:
    """Keep the store's locks for the duration of the block.

    Raises:
        StoreUnavailable: another process has the store open.
    """
    lock, presence = WriterLock(disk, files), PresenceLock(disk, files)
    try:
        lock.open()
        presence.open()
        with lock.hold(Patience.of(CALL_SECONDS)):
            if not presence.is_alone():
                reason = "another process has it open; stop it, then run this again"
                raise StoreUnavailable(files.root, reason)
            yield
    finally:
        close_all(presence.close, lock.close)


def _examine_own_files(disk: Disk, files: JsonFiles) -> Iterator[Finding]:
    """Examine Treadle's own files; what cannot be opened, or written, is found."""
    for name in disk.list_all(files.own_folder):
        try:
            if name in _LOCKS:
                check_plain(files.own_path(name))
            elif name == "format.json":
                files.read_format()
            elif name.startswith("journal-"):
                check_plain(files.own_path(name))
                check_journal(disk, files, name)
        except (CorruptRecord, NotPlainFile) as error:
            yield Finding(path=files.where_own(name), reason=error.reason)
    for path in files.delta_paths():
        try:
            check_plain(path)
        except NotPlainFile as error:
            yield Finding(path=os.path.relpath(path, files.root), reason=error.reason)


def _readers(files: JsonFiles) -> dict[TableName, Reader]:
    def read_head(key: str, data: bytes) -> ThreadHead:
        return read_thread(key, data, files.where("threads", key))

    return {
        "threads": read_head,
        "runs": row_reader(files, "runs", RunRecord),
        "entries": row_reader(files, "entries", MailboxEntry),
        "mailboxes": row_reader(files, "mailboxes", MailboxState),
    }


def _examine(files: JsonFiles, table: TableName, name: str, read: Reader) -> str | None:
    """Return why a JSON file cannot be read; None if it can, or has been removed since."""
    try:
        check_id("thread", name)
        data = files.read(table, name)
        if data is not None:
            read(name, data)
    except InvalidId as error:
        return f"its name is not an id: {error.reason}"
    except CorruptRecord as error:
        return error.reason
    return None


def _examine_collection(files: JsonFiles, file_name: str) -> tuple[int, list[Finding]]:
    """Return how many documents a collection's file has, and the lines that cannot be read."""
    collections = files.collections
    name = file_name.removesuffix(".jsonl")
    path = collections.where(name)
    if name == file_name:
        return 0, []
    try:
        check_id("collection", name)
        index = CollectionIndex(name, collections.read(name), path)
        for key, span in list(index.spans.items()):
            (line,) = collections.read_lines(name, [span])
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


def _move_lines(disk: Disk, files: JsonFiles, path: str) -> str:
    """Move the damaged lines of a collection's file to a file of their own; return its path."""
    collections = files.collections
    name = os.path.basename(path).removesuffix(".jsonl")
    data = collections.read(name)
    index = CollectionIndex(name, data, path)
    for key, span in list(index.spans.items()):
        index.examine(key, data[span[0] : sum(span)])
    damaged = [data[start:].split(b"\n", 1)[0] + b"\n" for start in sorted(index.damaged)]
    kept = [data[start : start + size] + b"\n" for start, size in index.spans.values()]
    target = _free_path(disk, files, path)
    disk.append(target, b"".join(damaged))
    disk.sync(target)
    whole = CollectionChange(0, is_whole=True, data=bytearray(b"".join(kept)))
    collections.write(name, whole)
    collections.sync(name)
    return os.path.relpath(target, files.root)


def _free_path(disk: Disk, files: JsonFiles, path: str) -> str:
    name = path.replace(os.sep, "-")
    target = os.path.join(files.own_path(_ASIDE), name)
    number = 1
    while disk.exists(target):
        number += 1
        target = os.path.join(files.own_path(_ASIDE), f"{name}.{number}")
    return target


def _move(disk: Disk, files: JsonFiles, finding: Finding) -> str:
    if _is_in_collection(files, finding):
        return _move_lines(disk, files, finding.path)
    target = _free_path(disk, files, finding.path)
    disk.move(os.path.join(files.root, finding.path), target)
    return os.path.relpath(target, files.root)


def _is_in_collection(files: JsonFiles, finding: Finding) -> bool:
    """Return True if only lines of a file are damaged, and not the file."""
    folder = os.path.relpath(files.collections.folder, files.root)
    return os.path.dirname(finding.path) == folder and finding.reason.startswith("byte ")
