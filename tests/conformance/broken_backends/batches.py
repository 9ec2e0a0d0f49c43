"""Backends that break the rules of batches and errors."""

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.clock import Clock
from treadle.core.claims import Hold
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.mailbox_deletion import Purge
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Together
from treadle.errors import TreadleError


@breaks(Guarantee.ALL_OR_NOTHING, "a failing command rolls back every other")
class HalfDone(MemoryBackend):
    """Writes what comes before the command that fails."""

    async def commit(self, batch: Commands) -> Receipt:
        for command in batch[:-1]:
            await super().commit((command,))
        return await super().commit(batch[-1:])


@breaks(Guarantee.ALL_OR_NOTHING, "a failing command rolls back every other")
class Leaky(Tables):
    """Does not take back what a failed batch did."""

    def rollback(self) -> None:
        self._before.clear()


@breaks(Guarantee.FAILING_COMMAND_IS_NAMED, "a single command that fails names itself")
class Nameless(MemoryBackend):
    """Does not say which command failed."""

    async def commit(self, batch: Commands) -> Receipt:
        try:
            return await super().commit(batch)
        except TreadleError as error:
            error.command = None
            raise


@breaks(Guarantee.FAILING_COMMAND_IS_NAMED, "commits that arrive together fail independently")
class AllForOne(MemoryBackend):
    """Lets those who committed together fail together."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._failed: TreadleError | None = None

    async def commit(self, batch: Commands) -> Receipt:
        await asyncio.sleep(0)
        try:
            receipt = await super().commit(batch)
        except TreadleError as error:
            self._failed = error
            await asyncio.sleep(0)
            self._failed = None
            raise
        if self._failed is not None:
            raise self._failed
        return receipt


@breaks(Guarantee.ONE_ORDER, "each command sees what those before it did")
class LastFirst(MemoryBackend):
    """Carries a batch out from its end."""

    async def commit(self, batch: Commands) -> Receipt:
        if any(isinstance(command, Hold) for command in batch):
            return await super().commit(batch)
        return Receipt(results=(await super().commit(batch[::-1])).results[::-1])


@breaks(
    Guarantee.FENCE, "a worker that lost its claim can write nothing anywhere: taken by another"
)
class Unfenced(Twisted):
    """Lets every hold pass."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return Purge(ended_before=0) if isinstance(command, Hold) else command


@breaks(Guarantee.FENCE, "a claim is held until the last millisecond of its lease")
class Timeless(Twisted):
    """Does not look whether the lease of a hold has run out."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, now=0) if isinstance(command, Hold) else command


@breaks(Guarantee.FENCE, "only the later claim of a mailbox is held after the clock went back")
class Alone(Tables):
    """Looks at the entry of a hold only, not at what is claimed beside it."""

    def find_claimed(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        return ()


@breaks(Guarantee.FENCE, "every hold of a batch is checked")
class OneHold(MemoryBackend):
    """Looks at the first hold of a batch."""

    async def commit(self, batch: Commands) -> Receipt:
        held = False
        commands: list[AnyCommand] = []
        for command in batch:
            again = isinstance(command, Hold) and held
            held = held or isinstance(command, Hold)
            commands.append(Purge(ended_before=0) if again else command)
        return await super().commit(tuple(commands))


@breaks(
    Guarantee.ALL_OR_NOTHING,
    "a write that was rolled back leaves no trace for the next try: send",
)
class StaleIndex(Tables):
    """Keeps the dedupe keys of a batch that was taken back in its index."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[tuple[str, str | None], MailboxEntry] = {}

    def put(self, table: Any, key: str, row: Any) -> None:
        super().put(table, key, row)
        if isinstance(row, MailboxEntry):
            self._keys[row.mailbox_id, row.dedupe_key] = row

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        found = super().find_duplicate(mailbox_id, dedupe_key)
        return found or self._keys.get((mailbox_id, dedupe_key))


@breaks(Guarantee.ALL_OR_NOTHING, "a receipt has one result for each command in order")
class Numeric(MemoryBackend):
    """Answers yes with 1, and no with 0, as databases do."""

    async def commit(self, batch: Commands) -> Receipt:
        receipt = await super().commit(batch)
        results = tuple(int(each) if isinstance(each, bool) else each for each in receipt.results)
        return Receipt(results=results)


@breaks(Guarantee.ALL_OR_NOTHING, "a closed store refuses every call")
class Ajar(MemoryBackend):
    """Goes on when it is closed."""

    async def close(self) -> None:
        self._wake()


@breaks(Guarantee.ONE_ORDER, "queries that are asked together have one snapshot")
class OneAfterTheOther(MemoryBackend):
    """Answers each of several queries from a snapshot of its own."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, Together):
            return await super().read(query)
        answers: list[Any] = []
        for each in query.queries:
            answers.append(await super().read(each))
            await asyncio.sleep(0)
        return tuple(answers)


@breaks(Guarantee.ONE_ORDER, "answers are in the order of their queries")
class Sorting(MemoryBackend):
    """Answers queries in an order of its own."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, Together):
            query = Together(queries=tuple(sorted(query.queries, key=repr)))
        return await super().read(query)
