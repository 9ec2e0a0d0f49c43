"""The store: where threads, runs and mailboxes live together."""

from functools import partial
from types import TracebackType
from typing import TypeVar, cast

from treadle.backends.base import Backend, Capabilities, JoinsTransactions
from treadle.core.commands import Commands, Receipt, check_batch
from treadle.errors import InvalidValue
from treadle.store.batch import Batch, Write
from treadle.store.mailboxes import Mailboxes
from treadle.store.runs import Runs
from treadle.store.threads import Threads

T = TypeVar("T")


class Store:
    """An open store: `store.threads`, `store.runs`, `store.mailboxes`, and `store.batch()`.

    It is made by `treadle.open_store` and used by one event loop at a time (on PostgreSQL by any
    number of them), in the process that opened it: `async with treadle.open_store(url) as store:`.

    Any call may raise `StoreUnavailable`, and `StoreClosed` before the opening and after the end.
    Ids are checked everywhere (`InvalidId`), and so is what is written (`InvalidValue`).
    """

    threads: Threads
    """Conversations."""
    runs: Runs
    """Executions of agents."""
    mailboxes: Mailboxes
    """Work that waits for agents."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.threads = Threads(backend, self._write)
        self.runs = Runs(backend, self._write)
        self.mailboxes = Mailboxes(backend, self._write)

    @property
    def capabilities(self) -> Capabilities:
        """What the store's backend declares of itself."""
        return self._backend.capabilities

    async def open(self) -> "Store":
        """Open the store; `async with` does it for you.

        Raises:
            StoreUnavailable: the place cannot be read or written.
            SchemaTooNew: a newer Treadle wrote it.
            SchemaTooOld: the schema of the PostgreSQL database is to be migrated first.
            CorruptRecord: what it was about to finish after a crash cannot be read.
        """
        await self._backend.open()
        return self

    async def close(self) -> None:
        """Finish what is under way and close; closing twice does no harm."""
        await self._backend.close()

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

        With `connection`, they are written in its transaction, as by `commit`.
        """
        return Batch(partial(self.commit, connection=connection))

    async def commit(self, batch: Commands, *, connection: object = None) -> Receipt:
        """Commit commands (see `treadle.core.commands`) together, all or none.

        Args:
            batch: the commands, in their order.
            connection: a psycopg connection, of either colour, to the same PostgreSQL database. The
                commands are written in its transaction, beside what else is, and take effect when
                the caller commits. If they fail, the transaction is as it was before them.

        Raises:
            InvalidId, InvalidValue: a command cannot be stored; nothing was written.
            TreadleError: what the failing command says; `error.command` names it.
        """
        checked = check_batch(batch)
        if connection is None:
            return await self._backend.commit(checked)
        if not isinstance(self._backend, JoinsTransactions):
            raise InvalidValue("connection", "this store is in no database that could share one")
        return await self._backend.commit_in(connection, checked)

    async def _write(self, write: Write[T]) -> T:
        receipt = await self.commit((write.command,))
        return cast("T", receipt.results[0])
