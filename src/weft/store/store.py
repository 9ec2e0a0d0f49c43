"""The store: where threads, runs and mailboxes live together."""

from types import TracebackType

from weft.backends.base import Backend, Capabilities
from weft.core.commands import Batch as Commands
from weft.core.commands import Command, Receipt, Result, check_batch
from weft.store.batch import Batch
from weft.store.mailboxes import Mailboxes
from weft.store.runs import Runs
from weft.store.threads import Threads


class Store:
    """An open store: `store.threads`, `store.runs`, `store.mailboxes`, and `store.batch()`.

    It is made by `weft.open_store` and used by one event loop at a time:
    `async with weft.open_store(url) as store:`.
    """

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
            SchemaTooNew: a newer Weft wrote it.
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

    def batch(self) -> Batch:
        """Collect writes that commit together: `async with store.batch() as step:`."""
        return Batch(self.commit)

    async def commit(self, batch: Commands) -> Receipt:
        """Commit commands (see `weft.core.commands`) together, all or none.

        Raises:
            InvalidId, InvalidValue: a command cannot be stored; nothing was written.
            WeftError: what the failing command says; `error.command` names it.
        """
        return await self._backend.commit(check_batch(batch))

    async def _write(self, command: Command) -> Result:
        receipt = await self.commit((command,))
        return receipt.results[0]
