"""The store on disk, in plain blocking code: groups of writes under the lock, then reads."""

import logging
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import msgspec

from treadle.backends.base import NO_STORE, Durability
from treadle.backends.files.deltas import Deltas
from treadle.backends.files.disk import Disk
from treadle.backends.files.documents import Documents
from treadle.backends.files.effects import (
    Append,
    Effect,
    Place,
    Remove,
    effects_of,
    from_payload,
    to_payload,
)
from treadle.backends.files.journal import Journal, Position
from treadle.backends.files.lock import PresenceLock, WriterLock
from treadle.backends.files.recovery import (
    Replay,
    checkpoint,
    find_journals,
    journal_path,
    recover,
)
from treadle.backends.files.tables import FileTables
from treadle.backends.group_thread import Failure
from treadle.backends.model.tables import Change, TableName, deltas_of
from treadle.clock import Clock
from treadle.core.codec import decode, encode
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.runs import RunRecord
from treadle.core.threads import StoredThread, ThreadDelta, all_deltas, appended
from treadle.errors import StoreUnavailable, TreadleError

Write: TypeAlias = Callable[[FileTables, int], tuple[Any, list[Change]]]
"""Applies one batch or claim at a time (unix ms): its result, and what it changed."""
Read: TypeAlias = Callable[[FileTables], Any]

_log = logging.getLogger(__name__)

JOURNAL_BYTES = 32 * 2**20
"""A journal of this size is closed and its documents are synced: a crash replays two at most."""


class Engine:
    """One handle on a store's folder. Its methods are called by one thread at a time."""

    def __init__(
        self,
        root: str,
        clock: Clock,
        durability: Durability,
        disk: Disk | None = None,
        journal_bytes: int = JOURNAL_BYTES,
        *,
        creates: bool = True,
    ) -> None:
        self._creates = creates
        self._disk = disk or Disk()
        self._clock = clock
        self._sync = durability == "full"
        self._journal_bytes = journal_bytes
        self._documents = Documents(self._disk, os.path.abspath(root))
        self._deltas = Deltas(self._disk, self._documents)
        self._lock = WriterLock(self._disk, self._documents.own_path("lock"))
        self._presence = PresenceLock(self._disk, self._documents.own_path("open"))
        self._checkpoints: list[threading.Thread] = []
        self._placed: set[str] = set()
        self._journal: Journal | None = None

    def open(self) -> None:
        """Take part: the first one finishes what a crash has left.

        Raises:
            InvalidValue: the folder holds other files and no store.
            SchemaTooNew: a newer Treadle wrote the store.
            CorruptRecord: the journal is damaged.
            StoreUnavailable: the folder cannot be read or written.
        """
        with self._telling_errors(), ExitStack() as undo:
            if not self._creates and not self._documents.is_store():
                raise StoreUnavailable(self._documents.root, NO_STORE)
            self._documents.make_folders()
            self._lock.open()
            undo.callback(self._lock.close)
            self._presence.open()
            undo.callback(self._presence.close)
            undo.callback(self._forget_all)
            with self._lock.hold():
                self._documents.check_format()
                if self._presence.is_alone():
                    newest = recover(self._disk, self._documents, sync=self._sync)
                    self._start_journal(newest + 1)
                self._presence.share()
                self._tables = FileTables(self._documents, self._deltas)
                self._catch_up()
            undo.pop_all()

    def close(self) -> None:
        """Leave; the last one syncs the documents and removes the journals."""
        for thread in self._checkpoints:
            thread.join()
        with self._telling_errors():
            try:
                with self._lock.hold():
                    self._catch_up()
                    self._forget_all()
                    if self._presence.is_alone():
                        numbers = find_journals(self._disk, self._documents)
                        checkpoint(self._disk, self._documents, numbers, sync=self._sync)
                    self._presence.close()
                    self._disk.remove_temp_files()
            finally:
                self._lock.close()

    def position(self) -> Position:
        """Up to where the store has been written, by whomever; a hint."""
        return self._lock.read_position()

    def run(self, writes: Sequence[Write], reads: Sequence[Read]) -> list[Any]:
        """Carry out writes as one group, then reads; a result or `Failure` for each, in order."""
        try:
            with self._telling_errors(), self._lock.hold():
                self._catch_up()
                written = self._write(writes)
                read = [self._attempt(partial(read, self._tables)) for read in reads]
                self._tables.threads.let_go()
                return written + read
        except Exception as error:  # handed to all who asked: the engine's thread must go on
            self._forget_all()
            return [Failure(error)] * (len(writes) + len(reads))

    def _write(self, writes: Sequence[Write]) -> list[Any]:
        results: list[Any] = []
        batches: list[list[Change]] = []
        for write in writes:
            outcome = self._attempt(partial(write, self._tables, self._clock()))
            if isinstance(outcome, Failure):
                results.append(outcome)
                continue
            result, changes = outcome
            results.append(result)
            if changes:
                batches.append(changes)
        if batches:
            self._commit(batches)
        return results

    def _commit(self, batches: list[list[Change]]) -> None:
        """Write the journal, which commits the batches; then let the documents follow."""
        journal = self._journal
        assert journal is not None  # noqa: S101
        try:
            effects = [effects_of(changes, self._tables, self._placed) for changes in batches]
            journal.append([to_payload(batch) for batch in effects], sync=self._sync)
        except BaseException:
            with suppress(OSError):
                journal.cut()
            raise
        try:
            self._follow([change for changes in batches for change in changes])
            self._lock.write_position(journal.position)
            if journal.position.end > self._journal_bytes:
                self._rotate(journal.position.journal + 1)
        except OSError:
            self._forget_all()  # committed all the same: the next group does what is left to do

    def _follow(self, changes: list[Change]) -> None:
        """Put the documents of what was committed in place."""
        last: dict[tuple[TableName, str], Change] = {}
        for change in changes:
            last[change.table, change.key] = change
            if change.table == "threads":
                self._follow_deltas(change)
        for (table, key), change in last.items():
            after = change.after
            if after is None:
                self._documents.remove(table, key)
            elif isinstance(after, StoredThread):
                self._documents.write(table, key, self._tables.threads.document(key, after).parts())
            else:
                self._documents.write(table, key, [encode(after)])
        self._tables.settle(last)

    def _follow_deltas(self, change: Change) -> None:
        deltas = deltas_of(change)
        if deltas is None:  # the thread starts anew, and may have been appended to since
            self._deltas.clear(change.key)
            after = change.after
            deltas = all_deltas(after.history) if isinstance(after, StoredThread) else ()
        if deltas:
            self._deltas.append(change.key, deltas)

    def _catch_up(self) -> None:
        """Learn what other processes have written, and finish what one of them did not."""
        position = self._lock.read_position()
        if self._journal is None:
            self._join(position)
        elif position.journal != self._journal.position.journal:
            self._move_on(position)
        journal = self._journal
        assert journal is not None  # noqa: S101
        if not journal.has_news():
            return
        unfinished: list[Effect] = []
        for record in journal.read_on():
            effects = from_payload(record.payload)
            if journal.position.end > position.end:
                unfinished += effects
            self._observe(effects)
        if unfinished:
            self._finish(journal, unfinished)
        if journal.has_news():
            journal.cut()

    def _join(self, position: Position) -> None:
        """Begin where the documents stand."""
        path = journal_path(self._documents, position.journal)
        self._journal = Journal(self._disk, path, position)
        self._placed.clear()
        self._tables = FileTables(self._documents, self._deltas)

    def _move_on(self, position: Position) -> None:
        """Read the rest of a journal that others have closed, and go on with the next."""
        journal = self._journal
        assert journal is not None  # noqa: S101
        for record in journal.read_on():
            self._observe(from_payload(record.payload))
        journal.close()
        if position.journal != journal.position.journal + 1:
            self._join(position)  # some that nobody has kept lie between
            return
        path = journal_path(self._documents, position.journal)
        self._journal = Journal(self._disk, path, Position(position.journal))
        self._placed.clear()

    def _observe(self, effects: Sequence[Effect]) -> None:
        """Let memory follow what another process has done."""
        for effect in effects:
            match effect:
                case Place(table=table, key=key, document=document):
                    self._observe_place(table, key, bytes(document))
                case Remove(table=table, key=key):
                    self._tables.observe(table, key, None)
                case Append(key=key, deltas=deltas):
                    self._observe_append(key, deltas)

    def _observe_place(self, table: TableName, key: str, document: bytes) -> None:
        match table:
            case "threads":
                self._placed.add(key)
                self._tables.threads.forget(key, present=True)
            case "runs":
                self._tables.observe(table, key, decode(RunRecord, document))
            case "entries":
                self._tables.observe(table, key, decode(MailboxEntry, document))
            case "mailboxes":
                self._tables.observe(table, key, decode(MailboxState, document))

    def _observe_append(self, key: str, deltas: tuple[msgspec.Raw, ...]) -> None:
        stored = self._tables.threads.known(key)
        if stored is None:
            return
        head = stored.head
        for delta in (decode(ThreadDelta, bytes(raw)) for raw in deltas):
            head = appended(head, delta.changes, delta.committed_at)
        self._tables.threads[key] = StoredThread(head)

    def _finish(self, journal: Journal, effects: Sequence[Effect]) -> None:
        """Put in place what a process wrote into the journal before it died."""
        if self._sync:
            journal.sync()
        replay = Replay(self._documents)
        for effect in effects:
            replay.add(effect)
        replay.put_in_place()
        self._lock.write_position(journal.position)

    def _forget_all(self) -> None:
        """Memory may say more than the disk does: begin anew with the next group."""
        if self._journal is not None:
            self._journal.close()
        self._journal = None

    def _rotate(self, number: int) -> None:
        """Go on in a new journal, and sync the documents of the old one meanwhile."""
        self._forget_all()
        self._start_journal(number)
        numbers = find_journals(self._disk, self._documents)[:-1]
        thread = threading.Thread(
            target=self._checkpoint, args=(numbers,), name="treadle-checkpoint"
        )
        self._checkpoints = [other for other in self._checkpoints if other.is_alive()]
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had
            _log.exception("journals %s stay until the next checkpoint", numbers)
        else:
            self._checkpoints.append(thread)

    def _start_journal(self, number: int) -> None:
        path = journal_path(self._documents, number)
        journal = Journal(self._disk, path, Position(number))
        journal.cut()  # a process that died while it started this one
        if self._sync:
            self._documents.sync_folders()
        self._lock.write_position(journal.position)
        self._journal = journal
        self._placed.clear()

    def _checkpoint(self, numbers: list[int]) -> None:
        try:
            checkpoint(self._disk, self._documents, numbers, sync=self._sync)
        except (OSError, TreadleError):
            _log.exception("journals %s stay until the next checkpoint", numbers)

    @contextmanager
    def _telling_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(self._documents.root, str(error)) from error

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """What a call returns, or the `Failure` it ends with, for whoever asked."""
        try:
            with self._telling_errors():
                return call()
        except Exception as error:
            return Failure(error)
