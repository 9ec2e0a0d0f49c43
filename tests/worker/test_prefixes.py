"""Workers of mailboxes whose ids begin with something, beside workers of others."""

import asyncio
from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    FaultyBackend,
    NewWorker,
    advance,
    passing_time,
    running,
    settle,
    until_idle,
)

from treadle import InvalidValue, Store
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.queries import Query
from treadle.testing import ManualClock
from treadle.worker import Delivery, Worker


class Seen:
    """A handler that notes the mailboxes of what it gets."""

    def __init__(self) -> None:
        self.mailboxes: list[str] = []
        self.news = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        self.mailboxes.append(delivery.entry.mailbox_id)
        self.news.set()


@every_backend
async def test_two_workers_with_two_handlers_share_a_store(
    store: Store, new_worker: NewWorker
) -> None:
    for number in range(6):
        for prefix in ("emails:", "reports:", "chat "):
            await store.mailboxes.send(f"{prefix}{number}", number)
    emails, reports, others = Seen(), Seen(), Seen()
    await asyncio.gather(
        until_idle(new_worker(store, emails, mailbox_prefix="emails:")),
        until_idle(new_worker(store, reports, mailbox_prefix=("reports:", "nothing:"))),
        until_idle(new_worker(store, others, except_prefix=("emails:", "reports:"))),
    )
    for seen, prefix in ((emails, "emails:"), (reports, "reports:"), (others, "chat ")):
        assert sorted(seen.mailboxes) == [f"{prefix}{number}" for number in range(6)]


@every_backend
async def test_a_worker_that_is_idle_wakes_for_its_mailboxes(
    store: Store, new_worker: NewWorker
) -> None:
    seen = Seen()
    async with running(new_worker(store, seen, mailbox_prefix="emails:")):
        await settle()
        await store.mailboxes.send("reports:1", None)
        await store.mailboxes.send("emails:1", None)
        async with asyncio.timeout(10):
            await seen.news.wait()
    assert seen.mailboxes == ["emails:1"]
    assert (await store.mailboxes.count_entries()).queued == 1


@every_backend
async def test_until_idle_waits_for_its_own_mailboxes_only(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("reports:1", None, delay_ms=1_000_000)
    await store.mailboxes.send("emails:1", None)
    seen = Seen()
    await until_idle(new_worker(store, seen, mailbox_prefix="emails:"))
    assert seen.mailboxes == ["emails:1"]


async def test_until_idle_searches_once_for_what_is_left_beside_many_others(
    faulty: FaultyBackend,
    faulty_store: Store,
    clock: ManualClock,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of others may be a million."""
    read = faulty.read
    searches = 0

    async def note(query: Query[Any]) -> Any:
        nonlocal searches
        searches += isinstance(query, SearchEntries)
        return await read(query)

    monkeypatch.setattr(faulty, "read", note)
    async with faulty_store.batch() as step:
        for number in range(450):
            step.mailboxes.send(f"reports:{number}", None)
        step.mailboxes.send("emails:1", None, delay_ms=600_000)
    seen = Seen()
    worker = new_worker(faulty_store, seen, mailbox_prefix="emails:")
    task = asyncio.create_task(until_idle(worker))
    for _ in range(20):
        await advance(clock, 10_000)
    assert searches == 3
    async with passing_time(clock, lambda: faulty_store.mailboxes.load("emails:1")):
        clock.now += 400_000
        await task
    assert seen.mailboxes == ["emails:1"]
    assert searches == 6


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mailbox_prefix": ""}, "must not be empty"),
        ({"mailbox_prefix": ()}, "names no prefix"),
        ({"mailbox_prefix": ["emails:"]}, "pass a text, or a tuple of texts"),
        ({"mailbox_prefix": ("emails:", 1)}, "must be a text"),
        ({"mailbox_prefix": "\ud800"}, "surrogate"),
        ({"except_prefix": tuple(map(str, range(101)))}, "at most 100"),
        ({"mailbox_prefix": "a:", "except_prefix": "a"}, "leaves nothing"),
        ({"mailbox_prefix": "a", "mailbox_id": "a"}, "not both"),
        ({"except_prefix": "a", "mailbox_id": "b"}, "not both"),
    ],
)
async def test_prefixes_that_cannot_be_meant_are_refused(
    store: Store, options: Any, reason: str
) -> None:
    async def handle(delivery: Delivery) -> None: ...

    with pytest.raises(InvalidValue, match=reason):
        Worker(store, handle, **options)
    with pytest.raises(InvalidValue, match=reason):
        await store.mailboxes.claim(consumer="w", **options)
    with pytest.raises(InvalidValue, match=reason):
        await store.mailboxes.wait(1, **options)
