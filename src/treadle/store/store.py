"""The store: threads, runs, mailboxes and documents behind one backend."""

import os
import warnings
from collections.abc import AsyncGenerator, Callable, Collection
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from treadle.backends.base import Backend, Capabilities, JoinsTransactions, ReleasesUnclosed
from treadle.backends.live import LiveValues
from treadle.core.codec import check_json
from treadle.core.commands import Command, Commands, Receipt, check_batch
from treadle.core.hints import Hint
from treadle.core.queries import Query, check_queries
from treadle.errors import InvalidValue, shorten
from treadle.store.batch import Batch
from treadle.store.changes import listened, listened_together, wanted_hints
from treadle.store.documents import Documents
from treadle.store.ending import Followers
from treadle.store.erasing import Erased, Erasure
from treadle.store.following import Following
from treadle.store.idling import check_idle, with_idle
from treadle.store.live import Live
from treadle.store.mailboxes import Mailboxes
from treadle.store.retention import PurgedThreads, ThreadPurge, check_purge
from treadle.store.run_arguments import check_flag
from treadle.store.run_requests import RunRequests
from treadle.store.runs import Runs
from treadle.store.threads import Threads
from treadle.store.writes import Write

T = TypeVar("T")
AT = TypeVar("AT")
BT = TypeVar("BT")
CT = TypeVar("CT")
DT = TypeVar("DT")
ET = TypeVar("ET")
FT = TypeVar("FT")


class Store:
    """An open store: threads, runs, mailboxes and documents, and `store.batch()`.

    `treadle.open_store` makes it: `async with treadle.open_store(url) as store:`. One event loop at
    a time uses it (on PostgreSQL any number of them), in the process that opened it.

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

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._opener: int | None = None
        """The id of the process that has it open."""
        self._opening: int | None = None
        """The id of the process that is about to open it."""
        self._live_values = LiveValues()
        self._followers = Followers()
        self.live = Live(backend, self._live_values, self._followers)
        self.threads = Threads(backend, self._write, Following(backend, self.live, self._followers))
        self.runs = Runs(backend, self._write, RunRequests(backend, self.commit))
        self.mailboxes = Mailboxes(backend, self._write)
        self.documents = Documents(backend, self._write)

    def __repr__(self) -> str:
        state = "open" if self._opener == os.getpid() else "closed"
        return f"<Store at {self.where}, {state}>"

    @property
    def where(self) -> str:
        """The location of the store, such as a path, or a URL without its password."""
        where: str = getattr(self._backend, "where", type(self._backend).__name__)
        return where

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the store's backend."""
        return self._backend.capabilities

    async def open(self) -> "Store":
        """Open the store; `async with` does it for you.

        Raises:
            StoreUnavailable: the location cannot be read or written.
            SchemaTooNew: a newer Treadle wrote the store.
            SchemaTooOld: the schema of the PostgreSQL database must be migrated first.
            CorruptRecord: a journal that must be replayed after a crash cannot be read.
            RuntimeError: it is open already.
        """
        if os.getpid() in (self._opener, self._opening):
            raise RuntimeError("this store is open already; close it before you open it again")
        self._opening = os.getpid()
        try:
            await self._backend.open()
        finally:
            self._opening = None
        self._followers.begin()
        self._opener = os.getpid()
        return self

    async def close(self) -> None:
        """Finish the calls in progress and close; one that is not open stays as it is.

        A cancelled caller waits until it is closed. A store that is dropped without it warns with
        `ResourceWarning`, and closes later.
        """
        if self._opener is None:
            return
        self._live_values.close()
        try:
            await self._backend.close()
        finally:
            self._opener = None  # not before: until then it must not be opened again

    def end_followers(self) -> None:
        """End what follows, `threads.follow` and `live.follow`; all else goes on.

        They end as if the store were closed, at once, and so do those that begin later, until the
        store is opened again. It may be called on any thread. A server that waits for open streams
        can then stop: see `treadle.http.end_streams_on_signals`. `changes` goes on: workers need
        it.
        """
        self._followers.end()

    def __del__(self) -> None:
        backend = self._backend
        if self._opener == os.getpid() and isinstance(backend, ReleasesUnclosed):
            backend.release()
            message = f"the store at {backend.where} was never closed; use `with` or `async with`"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    async def __aenter__(self) -> "Store":
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def batch(self, *, connection: object = None) -> Batch:
        """Collect writes that commit together: `async with store.batch() as step:`.

        With `connection`, they join its transaction, as for `commit`.
        """
        return Batch(partial(self.commit, connection=connection), self.runs)

    async def commit(self, batch: Commands, *, connection: object = None) -> Receipt:
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
        checked = check_batch(batch)
        if connection is None:
            return await self._backend.commit(checked)
        if not isinstance(self._backend, JoinsTransactions):
            raise InvalidValue("connection", "only a store in PostgreSQL can join a transaction")
        return await self._backend.commit_in(connection, checked)

    async def erase(
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
        if not isinstance(resource_id, str):
            raise InvalidValue("erase.resource_id", f"it must be a text, not {resource_id!r}")
        check_json(resource_id, "erase.resource_id")
        check_flag(thread_documents, "erase.thread_documents")
        check_flag(dry_run, "erase.dry_run")
        if not callable(report):
            raise InvalidValue("erase.report", f"it must be a function, not {shorten(report)}")
        erasure = Erasure(self._backend, self.commit, report, of_threads=thread_documents)
        return await (erasure.count(resource_id) if dry_run else erasure.run(resource_id))

    async def purge_threads(
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
        check_purge(changed_before, resource_id, report)
        purge = ThreadPurge(
            self._backend,
            self.commit,
            report,
            changed_before=changed_before,
            resource_id=resource_id,
        )
        return await purge.run()

    async def purge_documents(self, expired_before: int) -> int:
        """Delete all documents that expired before a time. Returns how many there were.

        It commits up to 1,000 at a time, so that others can go on, and no more than that are in
        memory. If it is interrupted, do it again: it deletes what is left. One that has not expired
        yet stays, whatever time is given.

        Args:
            expired_before: the time, in unix milliseconds.

        Raises:
            InvalidValue: it is not a time.
        """
        count = 0
        while purged := await self.documents.purge(expired_before):
            count += purged
        return count

    @overload
    def changes(
        self,
        *,
        thread_id: str | None = None,
        mailbox_id: str | None = None,
        idle_ms: None = None,
    ) -> AsyncGenerator[Hint]: ...

    @overload
    def changes(
        self, *, thread_id: str | None = None, mailbox_id: str | None = None, idle_ms: int
    ) -> AsyncGenerator[Hint | None]: ...

    def changes(
        self,
        *,
        thread_id: str | None = None,
        mailbox_id: str | None = None,
        idle_ms: int | None = None,
    ) -> AsyncGenerator[Hint | None]:
        """Listen for changes: `async for hint in store.changes(thread_id="t"): ...`.

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
        check_idle("changes.idle_ms", idle_ms)
        return with_idle(listened(self._backend, wanted_hints(thread_id, mailbox_id)), idle_ms)

    @overload
    async def read(self, a: Query[AT], /) -> tuple[AT]: ...

    @overload
    async def read(self, a: Query[AT], b: Query[BT], /) -> tuple[AT, BT]: ...

    @overload
    async def read(self, a: Query[AT], b: Query[BT], c: Query[CT], /) -> tuple[AT, BT, CT]: ...

    @overload
    async def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], /
    ) -> tuple[AT, BT, CT, DT]: ...

    @overload
    async def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], e: Query[ET], /
    ) -> tuple[AT, BT, CT, DT, ET]: ...

    @overload
    async def read(
        self, a: Query[AT], b: Query[BT], c: Query[CT], d: Query[DT], e: Query[ET], f: Query[FT], /
    ) -> tuple[AT, BT, CT, DT, ET, FT]: ...

    @overload
    async def read(self, *queries: Query[T]) -> tuple[T, ...]: ...

    @overload
    async def read(self, *queries: Query[Any]) -> tuple[Any, ...]: ...

    async def read(self, *queries: Query[Any]) -> tuple[Any, ...]:
        """Answer queries (see `treadle.queries`) from one snapshot, in one round trip.

        ``run, page = await store.read(LoadRun(run_id="r"), ListMessages(thread_id="t"))``: what is
        committed meanwhile is in both answers, or in neither. The answers are in the order of the
        queries. If one of them fails, the call does.

        Raises:
            InvalidId, InvalidValue: a query cannot be asked; the message says which argument of
                which one, such as `queries[1].limit`.
            NotFound: a query is about the messages or deltas of a thread that does not exist.
            CorruptRecord: the record that a query is about is damaged.
        """
        together = check_queries(queries)
        if len(queries) == 1:
            return (await self._backend.read(together.queries[0]),)
        return await self._backend.read(together)

    def _write(self, command: Command[T]) -> Write[T]:
        return Write(command, commit=self._commit_alone)

    async def _commit_alone(self, command: Command[T]) -> T:
        receipt = await self.commit((command,))
        return cast("T", receipt.results[0])


def changes_together(
    store: Store, *, mailbox_id: str | None = None
) -> AsyncGenerator[Collection[Hint]]:
    """Listen as `Store.changes` does; each time, all hints come that there are."""
    backend = store._backend  # pyright: ignore[reportPrivateUsage] - of this module
    return listened_together(backend, wanted_hints(None, mailbox_id))
