"""Expired documents that cannot be read hide none of the others."""

import pytest

from tests.backends.statements import execute, in_databases
from treadle import Store, open_store
from treadle.core.limits import PAGE
from treadle.testing import ManualClock
from treadle.worker import Purged, Worker

EXPIRY_MS = 1_000
NOW = 1_800_000_000_000


async def fill(store: Store, names: list[str]) -> None:
    """Put documents that expire, each a millisecond after the one before it."""
    for first in range(0, len(names), 500):
        async with store.batch() as step:
            for number, name in enumerate(names[first : first + 500], first):
                step.documents.put("c", name, 1, expires_at=NOW + EXPIRY_MS + number)


@in_databases
@pytest.mark.parametrize("limit", [1, 2, PAGE])
async def test_documents_that_cannot_be_read_do_not_fill_a_list_of_expired_ones(
    store_url: str, limit: int
) -> None:
    clock = ManualClock(NOW)
    async with open_store(store_url, clock=clock) as store:
        await fill(store, [*(f"bad {number}" for number in range(PAGE + 5)), "x", "y"])
        execute(store_url, "UPDATE documents SET version = -1 WHERE key LIKE 'bad%'")
        clock.now += 10 * EXPIRY_MS
        expired = await store.documents.list_expired(limit=limit)
        assert [each.key for each in expired] == [("x",), ("y",)][:limit]


@in_databases
async def test_a_worker_purges_what_has_expired_behind_documents_that_cannot_be_read(
    store_url: str,
) -> None:
    clock = ManualClock(NOW)
    purged: list[Purged] = []

    def note(event: object) -> None:
        if isinstance(event, Purged):
            purged.append(event)
            worker.stop()

    async with open_store(store_url, clock=clock) as store:
        await fill(store, ["bad", *(f"{number:03}" for number in range(2 * PAGE))])
        execute(store_url, "UPDATE documents SET version = -1 WHERE key = 'bad'")
        clock.now += 10 * EXPIRY_MS
        worker = Worker(store, lambda _: None, on_event=note, purge_after_ms=1_000)
        await worker.run()
    assert [each.documents for each in purged] == [2 * PAGE]
