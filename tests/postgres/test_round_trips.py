"""Round trips: two for each commit; and a connection that is cut in one of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import get_args

import psycopg
import pytest

from tests.postgres.proxy import Proxy, Side
from treadle import ClaimConflict, Message, NotFound, Store, Thread, ThreadChangeSet, open_store
from treadle.core.runs import RunRecord
from treadle.queries import (
    CountEntries,
    FindActiveRun,
    ListMessages,
    ListThreadSummaries,
    LoadDocuments,
    LoadThreadSummary,
)
from treadle.testing._harness.sample_data import READS, Read

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as opened:
        yield opened


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    """A store through the proxy, whose connections are already open."""
    async with open_store(f"{proxy.url}&listen=off", migrate=True) as opened:
        await opened.threads.create(Thread(id="t"))
        await opened.mailboxes.send("box", {"n": 0})
        await opened.mailboxes.claim(consumer="first", lease_ms=60_000)
        yield opened


async def test_a_commit_is_two_round_trips(proxy: Proxy, store: Store) -> None:
    before = proxy.round_trips
    await store.threads.append("t", MESSAGE)
    assert proxy.round_trips - before == 2


async def test_the_whole_step_of_a_worker_is_two_round_trips(proxy: Proxy, store: Store) -> None:
    await store.mailboxes.send("other", {"n": 1}, dedupe_key="k")
    (entry,) = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    run = RunRecord(
        run_id="r", thread_id="t", origin="user", status="done", created_at=1, updated_at=1
    )
    before = proxy.round_trips
    async with store.batch() as step:
        step.mailboxes.hold(entry)
        step.threads.append("t", MESSAGE)
        step.runs.upsert(run)
        for number in range(100):
            step.mailboxes.send(f"box {number}", {"n": number}, dedupe_key=f"k{number}")
        step.mailboxes.interrupt("box")
        step.mailboxes.ack(entry)
    assert proxy.round_trips - before == 2


async def test_a_fence_of_an_entry_that_nobody_holds_is_refused_in_three_round_trips(
    proxy: Proxy, store: Store
) -> None:
    """The entry is not among those that are claimed, so it is looked up alone."""
    await store.mailboxes.send("other", {"n": 1})
    (entry,) = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    await store.mailboxes.ack(entry)
    before = proxy.round_trips
    with pytest.raises(ClaimConflict, match="already accepted"):
        await store.mailboxes.hold(entry)
    assert proxy.round_trips - before == 3


async def test_a_purge_is_two_round_trips(proxy: Proxy, store: Store) -> None:
    await store.mailboxes.interrupt("box")
    before = proxy.round_trips
    assert await store.mailboxes.purge(2**60) == 1
    assert proxy.round_trips - before == 2


async def test_a_claim_is_two_round_trips(proxy: Proxy, store: Store) -> None:
    for number in range(20):
        await store.mailboxes.send(f"box {number}", {"n": number}, priority=number % 3)
    before = proxy.round_trips
    assert len(await store.mailboxes.claim(limit=10, consumer="w", lease_ms=60_000)) == 10
    assert proxy.round_trips - before == 2


ONCE: dict[str, Read] = {
    name: read
    for name, read in READS.items()
    if name not in ("deltas", "usage", "summaries of mailboxes", "queries together")
}


@pytest.mark.parametrize("read", ONCE.values(), ids=ONCE)
async def test_a_read_is_one_round_trip(proxy: Proxy, store: Store, read: Read) -> None:
    before = proxy.round_trips
    await read(store)
    assert proxy.round_trips - before == 1


async def test_counts_of_a_page_of_mailboxes_are_two_trips_more(proxy: Proxy, store: Store) -> None:
    before = proxy.round_trips
    assert (await store.mailboxes.list_summaries()).items
    assert proxy.round_trips - before == 3


async def test_a_read_that_goes_on_is_three_round_trips(proxy: Proxy, store: Store) -> None:
    await store.threads.append("t", MESSAGE)
    before = proxy.round_trips
    assert len(await store.threads.list_deltas("t", 0) or ()) == 1
    assert proxy.round_trips - before == 3


async def test_queries_that_are_asked_together_are_one_round_trip(
    proxy: Proxy, store: Store
) -> None:
    before = proxy.round_trips
    thread, page, run, stats, (document,), listed = await store.read(
        LoadThreadSummary(thread_id="t"),
        ListMessages(thread_id="t"),
        FindActiveRun(thread_id="t"),
        CountEntries(),
        LoadDocuments(collection="c", keys=(("a",),)),
        ListThreadSummaries(by="updated_at"),
    )
    assert proxy.round_trips - before == 1
    assert (thread, page.messages, run, document) == (listed.items[0], (), None, None)
    assert stats.claimed == 1


async def test_a_read_that_fails_is_one_round_trip_and_leaves_nothing_open(
    proxy: Proxy, store: Store
) -> None:
    before = proxy.round_trips
    for _ in range(3):
        with pytest.raises(NotFound):
            await store.read(LoadThreadSummary(thread_id="t"), ListMessages(thread_id="x"))
    await store.threads.summary("t")
    assert proxy.round_trips - before == 4


async def test_a_batch_that_fails_is_two_round_trips_and_leaves_nothing_open(
    proxy: Proxy, postgres_url: str, schema: str, store: Store
) -> None:
    failing: list[int] = []
    empty: list[int] = []
    for _ in range(8):
        before = proxy.round_trips
        with pytest.raises(Exception, match="already exists"):
            await store.threads.create(Thread(id="t"))
        failing.append(proxy.round_trips - before)
        before = proxy.round_trips
        assert await store.mailboxes.claim(consumer="w") == ()
        empty.append(proxy.round_trips - before)
    # A connection prepares its COMMIT once, which is a round trip.
    assert (failing[4:], empty[4:]) == ([2] * 4, [2] * 4)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        lock = f"LOCK TABLE {schema}.threads IN ACCESS EXCLUSIVE MODE NOWAIT"
        with connection.transaction():
            connection.execute(lock.encode())


@pytest.mark.parametrize("side", get_args(Side))
@pytest.mark.parametrize("trip", [1, 2])
async def test_a_commit_whose_connection_is_cut_is_applied_once(
    proxy: Proxy, store: Store, trip: int, side: Side
) -> None:
    proxy.cut(trip, side)
    committed = await store.threads.append("t", MESSAGE)
    assert proxy.has_cut
    assert committed.version == 1
    assert await store.threads.message_count("t") == 1
    assert (await store.threads.append("t", MESSAGE)).version == 2


@pytest.mark.parametrize("side", get_args(Side))
@pytest.mark.parametrize("trip", [1, 2])
async def test_a_claim_whose_connection_is_cut_is_given_once(
    proxy: Proxy, store: Store, trip: int, side: Side
) -> None:
    await store.mailboxes.send("other", {"n": 1})
    proxy.cut(trip, side)
    entries = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    assert proxy.has_cut
    while (
        not entries
    ):  # the server has yet to see that the connection is gone, and its locks with it
        await asyncio.sleep(0.05)
        entries = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    (entry,) = entries
    assert entry.attempt_count == 1
    assert await store.mailboxes.load_entry(entry.entry_id) == entry
    await store.mailboxes.ack(entry)


@pytest.mark.parametrize("side", get_args(Side))
async def test_a_read_whose_connection_is_cut_is_tried_again(
    proxy: Proxy, store: Store, side: Side
) -> None:
    await store.threads.load("t")
    proxy.cut(1, side)
    assert await store.threads.load("t") is not None
    assert proxy.has_cut


async def test_a_group_whose_connection_is_cut_is_applied_once_for_each_call(
    proxy: Proxy, store: Store
) -> None:
    proxy.cut(2, "before the client hears of it")
    sent = [store.mailboxes.send(f"m{number}", {"n": number}) for number in range(50)]
    entries = await asyncio.gather(*sent)
    assert proxy.has_cut
    assert len({entry.entry.entry_id for entry in entries}) == 50
    assert (await store.mailboxes.count_entries()).queued == 50


async def test_a_slow_commit_whose_connection_is_cut_is_applied_once(
    proxy: Proxy, store: Store, postgres_url: str, schema: str
) -> None:
    """Its end is in doubt for longer than a group waits for a lock."""
    slow = (
        f"CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'",
        f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {schema}.messages"
        f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.slow()",
    )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in slow:
            connection.execute(statement.encode())
        try:
            proxy.cut(2, "before the client hears of it")
            assert (await store.threads.append("t", MESSAGE)).version == 1
            assert proxy.has_cut
            assert await store.threads.message_count("t") == 1
        finally:
            connection.execute(f"DROP FUNCTION {schema}.slow CASCADE".encode())
