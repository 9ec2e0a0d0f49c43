"""Copying a store into another, of whatever kind: again and again, until both hold the same.

What is there already and equal is left alone, so a copy that was interrupted goes on where it
stopped. Versions, statuses, claims and generations are kept; of how a thread came to its version
the copy knows nothing (`deltas`).
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from treadle.core.codec import Model
from treadle.core.commands import AnyCommand
from treadle.core.restoring import RestoreEntry, RestoreMailbox, RestoreThread
from treadle.core.runs import UpsertRun
from treadle.store.pages import every
from treadle.store.store import Store

_TOGETHER = 50
"""Most rows of a batch."""


class Copied(Model, frozen=True, kw_only=True):
    """How many of each there are, how many had to be written, and what still differs."""

    threads: int
    runs: int
    mailboxes: int
    entries: int
    written: int
    differing: tuple[str, ...]
    """What is not the same at both ends, such as `thread 't1'`: somebody writes there."""


class Progress(msgspec.Struct, frozen=True):
    """How far a copy is."""

    done: int
    total: int


async def copy_store(
    source: Store, target: Store, tell: Callable[[Progress], object] = lambda _: None
) -> Copied:
    """Copy everything in `source` into `target`, and compare both ends.

    What `target` holds beyond that is left alone. While others write into `source`, what they
    change meanwhile is found by the comparison, and copied by the next call.
    """
    total = 2 * await _count(source)
    done = written = 0
    batch: list[AnyCommand] = []
    async for item in _items(source):
        done += 1
        if await item.load(target) != item.row:
            batch.append(item.command)
            written += 1
        if len(batch) == _TOGETHER:
            await target.commit(tuple(batch))
            batch.clear()
            tell(Progress(done, total))
    await target.commit(tuple(batch))
    counts: dict[str, int] = {}
    differing: list[str] = []
    async for item in _items(source):
        done += 1
        counts[item.kind] = counts.get(item.kind, 0) + 1
        if await item.load(target) != item.row:
            differing.append(f"{item.kind} {item.key!r}")
        if done % _TOGETHER == 0:
            tell(Progress(min(done, total), total))
    tell(Progress(total, total))
    return Copied(
        threads=counts.get("thread", 0),
        runs=counts.get("run", 0),
        mailboxes=counts.get("mailbox", 0),
        entries=counts.get("entry", 0),
        written=written,
        differing=tuple(differing),
    )


class _Item(msgspec.Struct, frozen=True):
    """A row of the source, the command that puts it, and how it is read at the other end."""

    kind: str
    key: str
    row: Any
    command: AnyCommand

    async def load(self, store: Store) -> Any:
        """The row as `store` has it."""
        match self.kind:
            case "thread":
                return await store.threads.load(self.key)
            case "run":
                return await store.runs.load(self.key)
            case "mailbox":
                return await store.mailboxes.load(self.key)
            case _:
                return await store.mailboxes.load_entry(self.key)


async def _count(store: Store) -> int:
    threads = await store.threads.list(limit=1)
    runs = await store.runs.list(limit=1)
    states = await store.mailboxes.list(limit=1)
    entries = await store.mailboxes.list_entries(limit=1)
    return threads.total + runs.total + states.total + entries.total


async def _items(store: Store) -> AsyncIterator[_Item]:
    """All rows; a mailbox comes before its entries."""
    async for thread_id in every(store.threads.list):
        head = await store.threads.load(thread_id)
        if head is not None:
            yield _Item("thread", thread_id, head, RestoreThread(head=head))
    async for run in every(store.runs.list):
        yield _Item("run", run.run_id, run, UpsertRun(run=run))
    async for state in every(store.mailboxes.list):
        yield _Item("mailbox", state.mailbox_id, state, RestoreMailbox(mailbox=state))
    async for entry in every(store.mailboxes.list_entries):
        yield _Item("entry", entry.entry_id, entry, RestoreEntry(entry=entry))
