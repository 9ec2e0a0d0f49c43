"""A handle on a store's folder, in blocking code: groups of writes under the lock, then reads."""

import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from treadle.backends._closing import close_all
from treadle.backends._deadline import CLOSE_SECONDS, Patience
from treadle.backends._group_thread import Failure
from treadle.backends._hint_ring import HintRing
from treadle.backends._hints import hints_of
from treadle.backends._identity import identity, lost
from treadle.backends._modes import advising_to_read
from treadle.backends._plain_files import NotPlainFile
from treadle.backends.base import NO_STORE, Durability
from treadle.backends.files._checkpoints import Checkpoints
from treadle.backends.files._delta_files import DeltaFiles
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._lock import PresenceLock, WriterLock
from treadle.backends.files._recovery import (
    checkpoint,
    find_journals,
    journal_path,
    recover,
    replay,
)
from treadle.backends.files._replica import Replica
from treadle.backends.files._tables import FileTables
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Change, VersionSource
from treadle.clock import Clock
from treadle.core.hints import ANYTHING
from treadle.errors import CorruptRecord, StoreUnavailable

_log = logging.getLogger(__name__)
_NOT_ROTATED = (
    "%s: no journal can be started after journal %d, which has %d bytes; it grows on, and the next"
    " attempt is made at %d bytes"
)

JOURNAL_BYTES = 32 * 2**20
"""A journal of this size is complete: a crash replays two of them at most."""


class WriteCall(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A batch or a claim to apply."""

    apply: Callable[..., tuple[Any, list[Change]]]
    """Takes the tables and, as `clock`, the time (unix ms); returns the result and the changes."""


class ReadCall(msgspec.Struct, frozen=True, eq=False):
    """A question to answer."""

    answer: Callable[[FileTables], Any]


class CleanCall(msgspec.Struct, frozen=True, eq=False):
    """A request to remove what was deleted from all files."""


Call: TypeAlias = WriteCall | ReadCall | CleanCall


class _RefusedGroup(Exception):
    """Nothing of a group was committed, because one of its batches cannot be written."""


class Engine:
    """One handle on a store's folder. Its methods are called by one thread at a time.

    Each group of calls takes the store's lock, follows what other processes have committed, writes
    its own batches to the journal and then their files.

    Args:
        root: the folder.
        clock: the time in unix milliseconds.
        durability: "full" syncs the journal for each group, "relaxed" only where it must.
        disk: the file system.
        journal_bytes: the size at which a journal is complete.
        create: create the store if it does not exist.
    """

    def __init__(
        self,
        root: str,
        clock: Clock,
        durability: Durability,
        disk: Disk | None = None,
        journal_bytes: int = JOURNAL_BYTES,
        *,
        create: bool = True,
    ) -> None:
        self._create = create
        self._disk = disk or Disk()
        self._clock = clock
        self._sync = durability == "full"
        self._journal_bytes = journal_bytes
        self._rotate_at = journal_bytes
        """The size of the journal at which the next one is started."""
        self._files = JsonFiles(self._disk, os.path.abspath(root))
        self._delta_files = DeltaFiles(self._disk, self._files)
        self._versions = VersionSource()
        self._lock = WriterLock(self._disk, self._files)
        self._presence = PresenceLock(self._disk, self._files)
        self._checkpoints = Checkpoints(self._disk, self._files)
        self._replica: Replica | None = None
        """None: the next group starts from the files."""
        self._broken: str | None = None
        """Why nothing can be read or written until the store is opened again."""

    @property
    def root(self) -> str:
        """The folder."""
        return self._files.root

    def own_path(self, name: str) -> str:
        """The path of one of Treadle's own files."""
        return self._files.own_path(name)

    def open(self, patience: Patience) -> None:
        """Open the store; the first handle on it does what a crash has left undone.

        Raises:
            InvalidValue: the folder holds other files and no store.
            SchemaTooNew: a newer Treadle wrote the store.
            CorruptRecord: the journal is damaged, or another of its files is not a plain file.
            StoreUnavailable: the folder cannot be read or written, or others kept its lock.
        """
        self._replica = None  # a forked child has that of its parent
        self._broken = None
        root = self._files.root
        with self._translate_errors(), advising_to_read(root), ExitStack() as undo:
            self._files.check_system()
            if not self._create and not self._files.is_store():
                raise StoreUnavailable(self._files.root, NO_STORE)
            self._files.make_folders()
            self._lock.open()
            undo.callback(self._lock.close)
            self._presence.open()
            undo.callback(self._presence.close)
            undo.callback(self._drop_replica)
            with self._lock.hold(patience):
                self._require_in_place()
                self._files.check_format()
                if self._presence.is_alone():
                    newest = recover(self._disk, self._files)
                    self._start_journal(newest + 1).close()
                    if newest:  # those that only read may not have seen this journal
                        self._lock.ring.append((ANYTHING,))
                self._presence.share(patience)
                self._catch_up()
            undo.pop_all()

    def close(self) -> None:
        """Close the store; the last handle on it syncs the JSON files and removes the journals.

        Even if something fails, no lock and no file stays open. If others keep the lock, the
        journals stay, for the next handle that opens or closes the store.

        Raises:
            StoreUnavailable, CorruptRecord: as `open`; the next handle does what is left to do.
        """
        with self._translate_errors():
            close_all(
                self._checkpoints.join,
                self._leave,
                self._drop_replica,
                self._presence.close,
                self._disk.remove_temp_files,
                self._lock.close,
            )

    def _leave(self) -> None:
        with ExitStack() as turn:
            try:
                turn.enter_context(self._lock.hold(Patience.of(CLOSE_SECONDS)))
            except StoreUnavailable:
                return
            # Others may come in only when this handle no longer counts as present.
            close_all(self._finish, self._presence.close)

    def _finish(self) -> None:
        """Sync the JSON files and remove the journals, unless others have the store open."""
        self._require_in_place()
        self._catch_up().tables.documents.save_indexes()
        self._drop_replica()
        if self._presence.is_alone():
            numbers = find_journals(self._disk, self._files)
            checkpoint(self._disk, self._files, numbers)

    def position(self) -> object:
        """Return how far any process has written the store; a hint, as it takes no lock."""
        return self._lock.read_position(), self._lock.hints_end()

    def look_at_files(self) -> object:
        """Return what changes if the store is removed or replaced; it costs more."""
        written = self._lock.read_position()
        return identity(journal_path(self._files, written.journal)), self._lock.is_in_place()

    @property
    def ring(self) -> HintRing:
        """The hints of all processes."""
        return self._lock.ring

    def run(self, calls: Sequence[Call], patience: Patience) -> list[Any]:
        """Do the writes as one group, then the reads.

        Returns a result or a `Failure` for each call, in order. If one of them cannot be written,
        each is tried by itself.

        Raises:
            StoreUnavailable: others kept the lock; nothing was done.
        """
        with self._lock.hold(patience):
            return self._run(calls)

    def _run(self, calls: Sequence[Call]) -> list[Any]:
        try:
            return self._carry_out(calls)
        except _RefusedGroup as refused:
            self._drop_replica()
            if len(calls) > 1:
                return [outcome for call in calls for outcome in self._run([call])]
            return [Failure(refused.__cause__ or refused)]
        except Exception as error:  # every caller gets it: the engine's thread must go on
            self._drop_replica()
            return [self._failure(error)] * len(calls)

    def _carry_out(self, calls: Sequence[Call]) -> list[Any]:
        if self._broken is not None:
            raise StoreUnavailable(self._files.root, self._broken)
        self._require_in_place()
        replica = self._catch_up()
        outcomes = self._write(replica, calls)
        for index, call in enumerate(calls):
            if isinstance(call, ReadCall):
                outcomes[index] = self._attempt(call.answer, replica.tables)
        replica.tables.end_group()
        for index, call in enumerate(calls):
            if isinstance(call, CleanCall):
                outcomes[index] = self._try_to_clean(replica)
        return outcomes

    def _try_to_clean(self, replica: Replica) -> list[str] | Failure:
        """Clean the files; a failure leaves the writes of the same group committed."""
        try:
            return self._clean(replica)
        except Exception as error:
            self._drop_replica()
            return self._failure(error)

    def _write(self, replica: Replica, calls: Sequence[Call]) -> list[Any]:
        """Apply and commit the writes; return their outcomes, with None for each read."""
        outcomes: list[Any] = [None] * len(calls)
        batches: list[list[Change]] = []
        for index, call in enumerate(calls):
            if isinstance(call, WriteCall):
                outcome = self._attempt(call.apply, replica.tables, clock=self._clock())
                if not isinstance(outcome, Failure):
                    outcome, changes = outcome
                    if changes:
                        batches.append(changes)
                outcomes[index] = outcome
        if batches:
            self._commit(replica, batches)
        return outcomes

    def _commit(self, replica: Replica, batches: list[list[Change]]) -> None:
        try:
            committed = replica.commit(batches, sync=self._sync)
        except BaseException as error:
            self._take_back(replica.journal, error)
            if isinstance(error, OSError) or not isinstance(error, Exception):
                raise
            raise _RefusedGroup from error
        try:
            replica.write_files(batches, committed)
            self._lock.write_position(replica.journal.position)
            self._lock.ring.append(hints_of(chain.from_iterable(batches)))
        except (OSError, CorruptRecord):
            self._drop_replica()  # committed all the same: the next group writes the JSON files
        else:
            self._rotate_if_complete(replica)

    def _take_back(self, journal: Journal, failure: BaseException) -> None:
        """Cut off what was written of a group that failed: nobody may read it as committed.

        Raises:
            StoreUnavailable: that failed too. The group may be committed, so nothing is written
                after it until the store is opened again.
        """
        try:
            journal.cut()
        except OSError as error:
            reason = f"{failure}; then its journal could not be cut off: {error}"
            self._broken = f"{reason}; close the store and open it again"
            unknown = f"{self._broken} to see whether the write was committed"
            raise StoreUnavailable(self._files.root, unknown) from failure

    def _require_in_place(self) -> None:
        """Check, under the lock, that the lock belongs to the folder that the path names."""
        if not self._lock.is_in_place():
            raise lost(self._files.root)

    def _catch_up(self) -> Replica:
        """Return the replica, with everything that any process has committed."""
        written = self._lock.read_position()
        replica = self._replica
        if replica is None or replica.journal.position.journal != written.journal:
            replica = self._replica = self._join(written)
        if replica.journal.is_lost():
            raise lost(self._files.root)
        if not replica.journal.has_news():
            return replica
        unwritten = replica.follow(written)
        if unwritten:
            replica.journal.sync()
            replay(self._files, unwritten)
            self._lock.write_position(replica.journal.position)
            self._lock.ring.append((ANYTHING,), here_too=True)
        replica.journal.cut()  # a torn group, of a process that died
        return replica

    def _join(self, written: Position) -> Replica:
        """Return a replica in the journal that is current."""
        replica = self._replica
        if replica is not None and replica.journal.position.journal + 1 == written.journal:
            replica.finish_journal()
            replica.move_to(self._open_journal(Position(written.journal)))
            return replica
        # Nothing is in memory, or a journal in between is gone and with it what it said.
        self._drop_replica()
        tables = FileTables(self._files, self._delta_files, self._versions)
        return Replica(self._files, self._delta_files, tables, self._open_journal(written))

    def _drop_replica(self) -> None:
        """Forget what is in memory, as it may differ from what is on disk."""
        replica, self._replica = self._replica, None
        if replica is not None:
            replica.journal.close()

    def _open_journal(self, position: Position) -> Journal:
        path = journal_path(self._files, position.journal)
        return Journal(self._disk, path, position)

    def _start_journal(self, number: int) -> Journal:
        """Create a journal, in which all processes go on."""
        journal = self._open_journal(Position(number))
        try:
            journal.cut()  # a process may have died while it created this one
            self._files.sync_folders()
            self._lock.write_position(journal.position)
        except BaseException:
            journal.close()
            raise
        return journal

    def _rotate_if_complete(self, replica: Replica) -> None:
        """Go on in a new journal if this one is complete. If that fails, this one grows on."""
        position = replica.journal.position
        if position.end <= self._rotate_at:
            return
        self._rotate_at = position.end + self._journal_bytes
        try:
            self._rotate(replica)
        except (OSError, CorruptRecord):
            _log.exception(_NOT_ROTATED, self.root, position.journal, position.end, self._rotate_at)
            self._drop_replica()
        else:
            self._rotate_at = self._journal_bytes

    def _rotate(self, replica: Replica) -> None:
        """Go on in a new journal, and checkpoint the complete ones."""
        replica.journal.sync()  # a commit of the next one must not survive without these
        replica.move_to(self._start_journal(replica.journal.position.journal + 1))
        self._checkpoints.start(find_journals(self._disk, self._files)[:-1])

    def _clean(self, replica: Replica) -> list[str]:
        """Remove from the files what was deleted, and replace all journals by a new one.

        Returns the names of damaged lines, in whose files dead ones stay.
        """
        try:
            damaged = replica.compact()
        except BaseException as error:
            self._take_back(replica.journal, error)
            raise
        self._delta_files.remove_others(replica.tables.threads)
        replica.journal.sync()
        replica.move_to(self._start_journal(replica.journal.position.journal + 1))
        self._checkpoints.join()
        checkpoint(self._disk, self._files, find_journals(self._disk, self._files)[:-1])
        self._disk.remove_temp_files()
        self._files.clear_temporary()  # those that other handles keep, which write none now
        self._lock.ring.append((ANYTHING,))  # lines are elsewhere in their files
        return damaged

    @contextmanager
    def _translate_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise self._refusal(error) from error

    def _attempt(self, call: Callable[..., Any], tables: FileTables, **arguments: object) -> Any:
        """Return the result of a call, or the `Failure` for its caller."""
        try:
            return call(tables, **arguments)
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, OSError):
            refusal = self._refusal(error)
            refusal.__cause__ = error
            return Failure(refusal)
        return Failure(error)

    def _refusal(self, error: OSError) -> CorruptRecord | StoreUnavailable:
        if isinstance(error, NotPlainFile):
            return CorruptRecord(error.path, error.reason)
        return StoreUnavailable(self._files.root, str(error))
