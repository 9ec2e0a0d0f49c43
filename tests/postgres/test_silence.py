"""One connection falls silent: it stays open, but nothing arrives, as behind a firewall that has
forgotten it. The call that uses it takes effect once or not at all, and the others go on.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import get_args

import pytest

from tests.postgres.activity import until_listening
from tests.postgres.hurry import hurried
from tests.postgres.proxy import Loss, Proxy
from treadle import Committed, Message, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres import _connections
from treadle.backends.postgres.backend import PostgresBackend
from treadle.backends.postgres.location import parse_location
from treadle.errors import StoreUnavailable

SILENCE_SECONDS = 0.1
CALL_SECONDS = 0.3
LIMIT_SECONDS = 20
"""Less than the deadline of a call, so a store that waits for the silent connection fails."""

losses = pytest.mark.parametrize("loss", get_args(Loss))
round_trips = pytest.mark.parametrize("trip", [1, 2])


def said(text: str) -> ThreadChangeSet:
    return ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user(text),))


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    location = parse_location(f"{proxy.url}&listen=off")
    backend = PostgresBackend(location, migrate=True, silence_seconds=SILENCE_SECONDS)
    async with Store(backend) as opened:
        await opened.threads.create(Thread(id="t"))
        await opened.threads.create(Thread(id="other"))
        yield opened
        proxy.resume()


async def version(store: Store, thread: str) -> int:
    head = await store.threads.load(thread)
    assert head is not None
    return head.version


@round_trips
@losses
async def test_a_commit_is_applied_once_and_those_behind_it_go_on(
    proxy: Proxy, store: Store, loss: Loss, trip: int
) -> None:
    proxy.silence(trip, loss)
    async with asyncio.timeout(LIMIT_SECONDS):
        first = asyncio.ensure_future(store.threads.append("t", said("first")))
        await asyncio.sleep(0.01)
        behind = [store.threads.append(thread, said("second")) for thread in ("other", "t")]
        done = await asyncio.gather(first, *behind)
    assert done == [Committed(version=1), Committed(version=1), Committed(version=2)]
    proxy.resume()
    await asyncio.sleep(0.05)  # so that the server has what was held back
    assert await version(store, "t") == 2


@round_trips
@losses
async def test_a_send_that_locks_no_row_is_applied_once(
    proxy: Proxy, store: Store, loss: Loss, trip: int
) -> None:
    proxy.silence(trip, loss)
    async with asyncio.timeout(LIMIT_SECONDS):
        await store.mailboxes.send("new", 1)
        await store.mailboxes.send("new", 2)
    proxy.resume()
    await asyncio.sleep(0.05)
    assert (await store.mailboxes.count_entries("new")).queued == 2


@round_trips
@losses
async def test_a_claim_is_given_once(proxy: Proxy, store: Store, loss: Loss, trip: int) -> None:
    await store.mailboxes.send("box", 1)
    proxy.silence(trip, loss)
    async with asyncio.timeout(LIMIT_SECONDS):
        (entry,) = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    proxy.resume()
    await asyncio.sleep(0.05)
    held = await store.mailboxes.load_entry(entry.entry_id)
    assert held == entry
    assert entry.attempt_count == 1


@round_trips
@losses
async def test_a_read_is_answered(proxy: Proxy, store: Store, loss: Loss, trip: int) -> None:
    proxy.silence(trip, loss)
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await version(store, "t") == 0


@pytest.mark.parametrize("trip", [1, 2, 3])
async def test_a_wait_ends_though_the_connection_that_looks_is_silent(
    proxy: Proxy, store: Store, url: str, trip: int
) -> None:
    proxy.silence(trip, "the answer")
    waiting = asyncio.ensure_future(store.mailboxes.wait(60_000))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(LIMIT_SECONDS), open_store(url) as elsewhere:
        await elsewhere.mailboxes.send("box", 1)
        await waiting


async def test_a_silent_connection_for_notices_is_replaced(
    proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller does not look by itself, so only a notice can end its wait."""
    monkeypatch.setattr("treadle.backends.postgres.backend.LOOK_SECONDS", 3_600)
    monkeypatch.setattr("treadle.backends.postgres._channel.CHECK_SECONDS", 0.1)
    monkeypatch.setattr("treadle.backends.postgres._channel.NOTICE_RETRY_SECONDS", 0.01)
    # Long enough that a read of the waiter is asked again, if it is the one that falls silent.
    backend = PostgresBackend(parse_location(proxy.url), migrate=True, call_seconds=10)
    async with Store(backend) as waiter, open_store(url) as elsewhere:
        waiting = asyncio.ensure_future(waiter.mailboxes.wait(60_000))
        await until_listening(url)
        await asyncio.sleep(0.2)  # by now the caller has looked; the next round trip is a check
        proxy.silence(1, "the request")
        await asyncio.to_thread(proxy.until_silent)
        async with asyncio.timeout(LIMIT_SECONDS):
            while not waiting.done():
                await elsewhere.mailboxes.send("box", 1)
                await asyncio.wait({waiting}, timeout=0.1)
        await waiting


@pytest.fixture
async def pooled(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that cannot ask about silent connections, as behind a pooler."""
    monkeypatch.setattr(_connections, "session_of", lambda connection: None)
    location = parse_location(f"{proxy.url}&listen=off")
    async with Store(PostgresBackend(location, migrate=True)) as opened:
        await opened.threads.create(Thread(id="t"))
        yield opened
        proxy.resume()


async def test_a_commit_that_is_known_to_have_failed_is_not_applied_when_the_network_recovers(
    proxy: Proxy, pooled: Store
) -> None:
    proxy.silence(2, "the request")
    with pytest.raises(StoreUnavailable) as refused, hurried(pooled, CALL_SECONDS):
        await pooled.mailboxes.send("new", 1)
    assert "not known" not in refused.value.reason
    await pooled.threads.append("t", said("the same writer goes on"))
    proxy.resume()
    await asyncio.sleep(0.05)
    assert (await pooled.mailboxes.count_entries("new")).queued == 0


async def test_a_commit_whose_answer_is_lost_until_the_deadline_is_found(
    proxy: Proxy, pooled: Store
) -> None:
    proxy.silence(2, "the answer")
    with hurried(pooled, CALL_SECONDS):
        assert await pooled.threads.append("t", said("hi")) == Committed(version=1)


async def test_the_server_ends_a_transaction_whose_process_is_silent(
    proxy: Proxy, pooled: Store, url: str
) -> None:
    """As if the process was stopped: its rows are free again before others give up."""
    proxy.silence(2, "the request")
    with pytest.raises(StoreUnavailable), hurried(pooled, CALL_SECONDS):
        await pooled.threads.append("t", said("silent"))
    async with asyncio.timeout(LIMIT_SECONDS), open_store(url) as elsewhere:
        assert await elsewhere.threads.append("t", said("hi")) == Committed(version=1)
