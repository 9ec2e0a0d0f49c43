"""`python -m benchmarks.profiling.worker_alone`: what a worker takes beside its store.

The store costs next to nothing: it has its answers ready, and gives the hints that others give.
What a worker takes for each entry, and loops that claim and settle the same without one, is then
the CPU of their own code and of asyncio.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

from benchmarks.peers.treadle_store import LOOPS, drain, work
from benchmarks.tables import Column, Row, Table, lines
from benchmarks.texts import payload
from treadle.backends._hints import HintListener, Hints, hints_of_claims
from treadle.backends.base import Capabilities, ClaimRequest, Query
from treadle.clock import new_id, new_token, system_clock
from treadle.core.claims import Ack, claimed
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges
from treadle.core.mailbox_queries import FoundEntries, LoadClaims
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import StoreClosed
from treadle.store.store import Store

T = TypeVar("T")
AT_ONCE = 100
"""The concurrent handlers of the worker, and the entries in a batch of the loops."""


class Free:
    """A backend with so many entries, which answers in the next turn of the event loop."""

    capabilities = Capabilities(durable=False, shared=False, notifies=True)

    def __init__(self, count: int) -> None:
        request = ClaimRequest(consumer="bench")
        now = system_clock()
        self._left = iter([_claimed(number, request, now) for number in range(count)])
        self._held: dict[str, MailboxEntry] = {}
        self._hints = Hints()
        self._is_open = False

    async def open(self) -> None:
        """Open it."""
        self._is_open = True

    async def close(self) -> None:
        """Close it."""
        self._is_open = False
        self._hints.close()

    async def commit(self, batch: Commands) -> Receipt:
        """Say that it is done."""
        await asyncio.sleep(0)
        ended = {command.entry_id for command in batch if isinstance(command, Ack)}
        mailboxes = {self._held.pop(entry_id).mailbox_id for entry_id in ended}
        self._hints.give({Hint(kind="mailbox", id=mailbox_id) for mailbox_id in mailboxes})
        return Receipt(results=(None,) * len(batch))

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Give out what is left."""
        await asyncio.sleep(0)
        found = tuple(islice(self._left, request.limit))
        self._held |= {entry.entry_id: entry for entry in found}
        self._hints.give(hints_of_claims([found]))
        return found

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Wait for nothing."""
        await asyncio.sleep(timeout_ms / 1000)

    async def read(self, query: Query[T]) -> T:
        """Say who holds what, and that nothing else is left."""
        if not self._is_open:
            raise StoreClosed
        answer: Any = FoundEntries(items=(), next_cursor=None)
        if isinstance(query, LoadClaims):
            answer = tuple(map(self._held.get, query.entry_ids))
        return answer  # type: ignore[no-any-return]

    def listen(self, wanted: frozenset[Hint] | None = None) -> HintListener:
        """Begin to listen."""
        return self._hints.listen(wanted)


def _claimed(number: int, request: ClaimRequest, now: int) -> MailboxEntry:
    entry = MailboxEntry(
        entry_id=new_id(),
        mailbox_id=f"m{number}",
        payload=payload(number),
        created_at=now,
        updated_at=now,
        available_at=now,
    )
    return claimed(entry, request, new_token(), now)


async def _take(
    count: int, run: Callable[[Store, Callable[[str], object]], Awaitable[None]]
) -> float:
    handled: list[str] = []
    async with Store(Free(count)) as store:
        start = time.process_time()
        await run(store, handled.append)
        taken = time.process_time() - start
    assert len(handled) == count
    return taken / count * 1e6


SUBJECTS: dict[str, Callable[[Store, Callable[[str], object]], Awaitable[None]]] = {
    f"{LOOPS} loops, batches of {AT_ONCE}": lambda store, handle: drain(
        store, AT_ONCE, LOOPS, handle
    ),
    f"Worker, {AT_ONCE} slots": lambda store, handle: work(store, AT_ONCE, handle),
}


async def measure(count: int, turns: int) -> list[Row]:
    """Measure all subjects in turns; the first one warms up."""
    taken: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    for _ in range(turns + 1):
        for name, run in SUBJECTS.items():
            taken[name].append(await _take(count, run))
    return [
        Row(who=name, figures={"taken": statistics.median(found[1:])})
        for name, found in taken.items()
    ]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.worker_alone")
    parser.add_argument("--count", type=int, default=3_000, help="entries; 3,000")
    parser.add_argument("--turns", type=int, default=7, help="turns; 7")
    options = parser.parse_args()
    rows = asyncio.run(measure(options.count, options.turns))
    about = "CPU for each entry of a store that costs nothing, with a handler that does nothing"
    table = Table(
        name="worker-alone", work=about, columns=(Column("taken", "µs"),), rows=tuple(rows)
    )
    print("\n".join(lines(table)))


if __name__ == "__main__":
    main()
