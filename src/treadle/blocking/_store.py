"""Written by `make twin` from `treadle.store.store`: change that, not this."""

import os
from collections.abc import Callable, Coroutine, Generator
from typing import Any, cast, overload

import treadle
from treadle.backends.base import Durability
from treadle.blocking._documents import Documents
from treadle.blocking._live import Live
from treadle.blocking._mailboxes import Mailboxes
from treadle.blocking._opening import Opening
from treadle.blocking._runs import Runs
from treadle.blocking._threads import Threads
from treadle.clock import Clock, system_clock
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.queries import Query
from treadle.store.erasing import Erased
from treadle.store.retention import PurgedThreads
from treadle.store.store import AT, BT, CT, DT, ET, FT, T


class Store(Opening):
    """An open store: threads, runs, mailboxes and documents, and `store.batch()`.

    `treadle.blocking.open_store` makes it. Any number of threads use it, in the process that opened
    it.

    Any call may raise `StoreUnavailable`, or `StoreClosed` before the store is opened and after it
    is closed. All ids are checked (`InvalidId`), and all values that are written (`InvalidValue`).
    """

    threads: Threads
    """Conversations."""

    runs: Runs
    """Executions of agents."""

    mailboxes: Mailboxes
    """Work waiting for agents."""

    documents: Documents
    """What agents know."""

    live: Live
    """What is shown while it is made, and kept nowhere."""

    def __init__(self, store: treadle.Store) -> None:
        super().__init__(store)
        self.threads = Threads(store.threads, self._portal)
        self.runs = Runs(store.runs, self._portal)
        self.mailboxes = Mailboxes(store.mailboxes, self._portal)
        self.documents = Documents(store.documents, self._portal)
        self.live = Live(store.live, self._portal)

    def end_followers(self) -> None:
        """End what follows, `threads.follow` and `live.follow`; all else goes on.

        They end as if the store were closed, at once, and so do those that begin later, until the
        store is opened again. It may be called on any thread. A server that waits for open streams
        can then stop: see `treadle.http.end_streams_on_signals`. `changes` goes on: workers need
        it.
        """
        self._store.end_followers()

    def commit(self, batch: Commands, *, connection: object = None) -> Receipt:
        """Commit commands (see `treadle.commands`) together, all or none.

        Args:
            batch: the commands, in their order.
            connection: a psycopg connection, sync or async, to the same PostgreSQL database. The
                commands join its transaction and take effect when the caller commits. If they
                fail, the transaction is as it was before them.

        Raises:
            InvalidId, InvalidValue: a command cannot be stored; nothing was written.
            TreadleError: the error of the failing command; `error.command` names it.
        """
        return self._portal.call(self._store.commit(batch, connection=connection))

    def erase(
        self,
        resource_id: str,
        *,
        thread_documents: bool = False,
        dry_run: bool = False,
        report: Callable[[Erased], object] = lambda _: None,
    ) -> Erased:
        """Delete everything of an owner, and remove what that leaves in the store's files.

        That is: the threads with this `resource_id` and their deltas; the threads below them that
        have no other owner; for each thread its runs, and the mailbox with its id; and the
        documents of all collections whose keys begin with the owner's id.
        A worker that works for the owner loses the lease.

        Documents whose keys begin with the id of such a thread stay, and `Erased.left` names these
        ids: clients may choose the ids of their threads, and a key that begins with the id of
        another owner is that owner's.

        Records that cannot be read stay, and `Erased.unreadable` names them: as long as it is not
        empty, something of the owner may be left.

        It commits one thread at a time, and up to 100 of its runs, so that others can go on. If it
        is interrupted, do it again: it deletes what is left. What others write for the owner
        meanwhile may stay, so stop the senders first.
        `docs/how-to/delete-a-user.md` lists what backups, other processes and a server's log keep.

        Args:
            resource_id: the owner.
            thread_documents: delete those documents, too. Only if no owner can have the id of a
                thread, for example because the program makes all ids of threads at random.
            dry_run: delete nothing; return what would be deleted.
            report: called after each thread with what has been deleted so far.

        Raises:
            InvalidValue: the owner is not a text, `thread_documents` or `dry_run` neither True nor
                False, or `report` no function.
            CorruptRecord: a record that would have to be changed is damaged.
        """
        return self._portal.call(
            self._store.erase(
                resource_id, thread_documents=thread_documents, dry_run=dry_run, report=report
            )
        )

    def purge_threads(
        self,
        changed_before: int,
        *,
        resource_id: str | None = None,
        report: Callable[[PurgedThreads], object] = lambda _: None,
    ) -> PurgedThreads:
        """Delete threads that have not changed for long, with their runs and mailboxes.

        A thread goes if it was last changed before `changed_before`. It stays, and is counted in
        `active`, if its mailbox has entries that have not ended, one of its runs is running or
        waiting, or a thread below it stays. Dead letters in the mailbox go, and so do dedupe keys,
        which may be used again. Documents stay: give them an expiry.

        It commits one thread at a time, and up to 100 of its runs before that, so that others can
        go on. If it is interrupted, do it again: it deletes what is left. A thread that is written
        to meanwhile stays, with what is sent to it; its older runs may be deleted. A thread
        with a record that cannot be read stays: see `PurgedThreads.unreadable`.

        Args:
            changed_before: in unix milliseconds.
            resource_id: only threads of this owner, and those below them without an owner.
            report: called after each thread with what has been done so far.

        Raises:
            InvalidValue: an argument has another type, or `changed_before` is not a time.
        """
        return self._portal.call(
            self._store.purge_threads(changed_before, resource_id=resource_id, report=report)
        )

    def purge_documents(self, expired_before: int) -> int:
        """Delete all documents that expired before a time. Returns how many there were.

        It commits up to 1,000 at a time, so that others can go on, and no more than that are in
        memory. If it is interrupted, do it again: it deletes what is left. One that has not expired
        yet stays, whatever time is given.

        Args:
            expired_before: the time, in unix milliseconds.

        Raises:
            InvalidValue: it is not a time.
        """
        return self._portal.call(self._store.purge_documents(expired_before))

    @overload
    def changes(
        self, *, thread_id: str | None = None, mailbox_id: str | None = None, idle_ms: None = None
    ) -> Generator[Hint, None, None]: ...

    @overload
    def changes(
        self, *, thread_id: str | None = None, mailbox_id: str | None = None, idle_ms: int
    ) -> Generator[Hint | None, None, None]: ...

    def changes(
        self,
        *,
        thread_id: str | None = None,
        mailbox_id: str | None = None,
        idle_ms: int | None = None,
    ) -> Generator[Hint | None, None, None]:
        """Listen for changes: `for hint in store.changes(thread_id="t"): ...`.

        A hint says what to read again, and comes after the change, whichever process made it. Until
        the caller takes the next hint, hints are kept, each once. The first hint is "anything" and
        comes at once: a caller that reads after it, and again after each later hint, misses
        nothing. "Anything" also comes if hints were lost, or if there are too many. A hint may name
        what has not changed. Hints come within milliseconds. On a backend that gives none,
        "anything" comes once a second.

        It ends when the store is closed. Any number of callers may listen: a process looks once for
        all of them.

        Args:
            thread_id: only hints about this thread, its runs among them.
            mailbox_id: only hints about this mailbox; with `thread_id`, about either.
            idle_ms: None comes each time no hint has come for so long.

        Raises:
            InvalidId, InvalidValue: an id or `idle_ms` cannot be one.
        """
        return self._portal.iterate(
            self._store.changes(thread_id=thread_id, mailbox_id=mailbox_id, idle_ms=idle_ms)
        )

    @overload
    def read(self, a: Query[AT], /) -> tuple[AT]: ...

    @overload
    def read(self, a: Query[AT], b: Query[BT], /) -> tuple[AT, BT]: ...

    @overload
    def read(self, a: Query[AT], b: Query[BT], c: Query[CT], /) -> tuple[AT, BT, CT]: ...

    @overload
    def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], /
    ) -> tuple[AT, BT, CT, DT]: ...

    @overload
    def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], e: Query[ET], /
    ) -> tuple[AT, BT, CT, DT, ET]: ...

    @overload
    def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], e: Query[ET], f: Query[FT], /
    ) -> tuple[AT, BT, CT, DT, ET, FT]: ...

    @overload
    def read(self, *queries: Query[T]) -> tuple[T, ...]: ...

    @overload
    def read(self, *queries: Query[Any]) -> tuple[Any, ...]: ...

    def read(self, *queries: Query[Any]) -> tuple[Any, ...]:
        """Answer queries (see `treadle.queries`) from one snapshot, in one round trip.

        ``run, page = store.read(LoadRun(run_id="r"), ListMessages(thread_id="t"))``: what is
        committed meanwhile is in both answers, or in neither. The answers are in the order of the
        queries. If one of them fails, the call does.

        Raises:
            InvalidId, InvalidValue: a query cannot be asked; the message says which argument of
                which one, such as `queries[1].limit`.
            NotFound: a query is about the messages or deltas of a thread that does not exist.
            CorruptRecord: the record that a query is about is damaged.
        """
        read = cast("Callable[..., Coroutine[Any, Any, tuple[Any, ...]]]", self._store.read)
        return self._portal.call(read(*queries))


def open_store(
    url: str | os.PathLike[str],
    *,
    clock: Clock = system_clock,
    durability: Durability = "full",
    create: bool = True,
    migrate: bool = False,
    read_only: bool = False,
) -> Store:
    """Return the store at `url`; `with treadle.blocking.open_store(url) as store:` opens it.

    Args:
        url: a folder (plain JSON files), "sqlite:///agents.db" (one database file; four slashes
            for an absolute path), "postgresql://user@host/database" (needs `treadle[postgres]`; it
            takes psycopg's parameters, and `schema`, `table_prefix`, `prepared_statements=off` and
            `listen=off`), or "memory:" (lost when the store is closed). In "file:" and "sqlite:" a
            character may be a % escape, such as %3F for a question mark.
        clock: returns the present in unix milliseconds, for calls without `now`. The default on
            PostgreSQL is the database's clock.
        durability: with "full", acknowledged writes survive a power failure; with "relaxed", they
            survive the end of the process, but not of the machine. It has no effect in memory.
        create: create the folder or the database file if it does not exist; with False, opening
            raises `StoreUnavailable` then. It has no effect in memory and on PostgreSQL.
        migrate: when opening, bring the schema of a PostgreSQL database up to date, as
            `treadle migrate` does. Folders and database files are always brought up to date.
        read_only: only read, and write nothing, not even beside the store, which must exist. It may
            be a snapshot, on a read-only volume, another user's, or on a standby server. Writes and
            claims raise `ReadOnlyStore`.

    Raises:
        InvalidValue: the URL names no kind of store that Treadle knows, or with `read_only` one in
            memory.
    """
    return Store(
        treadle.open_store(
            url,
            clock=clock,
            durability=durability,
            create=create,
            migrate=migrate,
            read_only=read_only,
        )
    )
