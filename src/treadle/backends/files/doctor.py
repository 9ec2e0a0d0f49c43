"""Find the files in a store's folder that cannot be read, and move them aside when asked to."""

import os
from collections.abc import Callable

from treadle.backends.files._cache import row_reader
from treadle.backends.files._engine import Engine
from treadle.backends.files._lock import PresenceLock, WriterLock
from treadle.backends.files._recovery import find_journals, journal_path, read_journal
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


def examine(root: str | os.PathLike[str]) -> Report:
    """Open the store, which does what a crash has left undone, and read every document.

    Raises:
        StoreUnavailable: the folder cannot be read.
        SchemaTooNew: a newer Treadle wrote it.
    """
    engine = Engine(os.fspath(root), system_clock, "full")
    try:
        engine.open()
    except CorruptRecord:
        pass  # a damaged journal: it is reported below
    else:
        engine.close()
    disk, documents = _parts(root)
    findings = _examine_journals(disk, documents)
    count = 0
    for table, read in _readers(documents).items():
        for name in sorted(disk.list_names(documents.folder(table), ".json")):
            count += 1
            reason = _examine(documents, table, name, read)
            if reason is not None:
                findings.append(Finding(path=documents.where(table, name), reason=reason))
    return Report(documents=count, findings=tuple(findings))


def move_aside(root: str | os.PathLike[str], report: Report) -> tuple[str, ...]:
    """Move what the report found to `_treadle/aside`.

    Returns the new paths, relative to the store's folder.

    Raises:
        StoreUnavailable: another process has the store open, or a file cannot be moved.
    """
    disk, documents = _parts(root)
    lock = WriterLock(disk, documents.own_path("lock"))
    presence = PresenceLock(disk, documents.own_path("open"))
    lock.open()
    presence.open()
    try:
        with lock.hold():
            if not presence.is_alone():
                reason = "another process has it open; stop it, then run this again"
                raise StoreUnavailable(documents.root, reason)
            disk.make_folder(documents.own_path(_ASIDE))
            return tuple(_move(disk, documents, finding) for finding in report.findings)
    finally:
        presence.close()
        lock.close()


def _parts(root: str | os.PathLike[str]) -> tuple[Disk, Documents]:
    disk = Disk()
    return disk, Documents(disk, os.path.abspath(root))


def _examine_journals(disk: Disk, documents: Documents) -> list[Finding]:
    findings: list[Finding] = []
    for number in find_journals(disk, documents):
        try:
            read_journal(disk, documents, number)
        except CorruptRecord as error:
            path = os.path.relpath(journal_path(documents, number), documents.root)
            findings.append(Finding(path=path, reason=error.reason))
    return findings


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


def _move(disk: Disk, documents: Documents, finding: Finding) -> str:
    name = finding.path.replace(os.sep, "-")
    target = os.path.join(documents.own_path(_ASIDE), name)
    number = 1
    while disk.exists(target):
        number += 1
        target = os.path.join(documents.own_path(_ASIDE), f"{name}.{number}")
    try:
        disk.move(os.path.join(documents.root, finding.path), target)
    except OSError as error:
        raise StoreUnavailable(documents.root, str(error)) from error
    return os.path.relpath(target, documents.root)
