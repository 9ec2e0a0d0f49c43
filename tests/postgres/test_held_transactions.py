"""Transactions that stay open delay the calls that need the same rows, and no others."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.postgres.activity import until_blocked
from treadle import Committed, Message, Store, Thread, ThreadChangeSet, open_store
from treadle.core.mailbox_commands import EnsureMailbox, Requeue
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.restoring import RestoreEntry, RestoreMailbox
from treadle.errors import StoreUnavailable

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, migrate=True) as opened:
        for name in ("held", "free"):
            await opened.threads.create(Thread(id=name))
            await opened.mailboxes.send(name, {"n": 1})
        yield opened


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(postgres_url) as opened:
        yield opened


async def claim(store: Store, **options: Any) -> list[MailboxEntry]:
    return list(await store.mailboxes.claim(consumer="w", lease_ms=60_000, **options))


async def test_a_claim_skips_a_mailbox_that_a_transaction_holds(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with store.batch(connection=connection) as step:
        step.mailboxes.send("held", {"n": 2})
    entries = await claim(store, limit=10)
    assert [entry.mailbox_id for entry in entries] == ["free"]
    assert await claim(store, mailbox_id="held") == []
    await connection.rollback()
    (entry,) = await claim(store, mailbox_id="held")
    assert entry.payload == {"n": 1}


async def test_commits_to_other_threads_do_not_wait(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with store.batch(connection=connection) as step:
        step.threads.append("held", MESSAGE)
    waiting = asyncio.ensure_future(store.threads.append("held", MESSAGE))
    for version in range(1, 20):
        assert (await store.threads.append("free", MESSAGE)).version == version
    assert not waiting.done()
    await connection.commit()
    assert (await asyncio.wait_for(waiting, 10)).version == 2


async def test_a_write_that_waited_sees_how_the_other_transaction_ended(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    (entry,) = await claim(store, mailbox_id="held")
    async with store.batch(connection=connection) as step:
        step.mailboxes.interrupt("held")
    acking = asyncio.ensure_future(store.mailboxes.ack(entry))
    await until_blocked(url)
    assert not acking.done()
    await connection.rollback()
    await asyncio.wait_for(acking, 10)
    found = await store.mailboxes.load_entry(entry.entry_id)
    assert found is not None
    assert found.status == "accepted"


async def test_a_read_does_not_wait(store: Store, connection: psycopg.AsyncConnection[Any]) -> None:
    async with store.batch(connection=connection) as step:
        step.threads.append("held", MESSAGE)
        step.mailboxes.interrupt("held")
    head = await asyncio.wait_for(store.threads.load("held"), 5)
    assert head is not None
    assert head.version == 0
    assert (await store.mailboxes.count_entries("held")).queued == 1


async def test_an_entry_sent_behind_an_uncommitted_one_is_not_lost(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    """Two writers of one queue: its head is the better of both entries, and none is lost."""
    async with store.batch(connection=connection) as step:
        step.mailboxes.send("new", {"n": "kept"})
    async with open_store(url) as elsewhere:
        sending = asyncio.ensure_future(elsewhere.mailboxes.send("new", {"n": "behind"}))
        await until_blocked(url)
        await connection.commit()
        await asyncio.wait_for(sending, 10)
    first = await claim(store, mailbox_id="new")
    await store.mailboxes.ack(first[0])
    second = await claim(store, mailbox_id="new")
    assert [entry.payload["n"] for entry in (*first, *second)] == ["kept", "behind"]


async def test_a_send_waits_for_a_transaction_with_the_same_dedupe_key(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with store.batch(connection=connection) as step:
        step.mailboxes.send("fresh", {"n": 1}, dedupe_key="k")
    sending = asyncio.ensure_future(store.mailboxes.send("fresh", {"n": 2}, dedupe_key="k"))
    await until_blocked(url)
    assert not sending.done()
    await connection.commit()
    assert (await asyncio.wait_for(sending, 10)).entry.payload == {"n": 1}
    assert (await store.mailboxes.count_entries("fresh")).queued == 1


async def test_a_deadlock_ends(
    store: Store, postgres_url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    """The application locks in another order than Treadle: one of the two fails, not both."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        async with store.batch(connection=connection) as step:
            step.threads.append("held", MESSAGE)
        async with store.batch(connection=other) as step:
            step.threads.append("free", MESSAGE)

        async def cross(one: psycopg.AsyncConnection[Any], thread: str) -> bool:
            try:
                async with store.batch(connection=one) as step:
                    step.threads.append(thread, MESSAGE)
            except Exception:
                await one.rollback()
                return False
            await one.commit()
            return True

        ended = await asyncio.gather(cross(connection, "free"), cross(other, "held"))
    assert any(ended)
    versions = []
    for name in ("held", "free"):
        head = await store.threads.load(name)
        assert head is not None
        versions.append(head.version)
    assert versions == [sum(ended)] * 2


async def test_calls_in_one_group_with_many_blocked_ones_do_not_wait(
    store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    """They are in one group, and the blocked ones occupy every waiting thread."""
    async with store.batch(connection=connection) as step:
        step.mailboxes.send("held", {"n": 2})
    waiting = [asyncio.ensure_future(store.mailboxes.send("held", n)) for n in range(20)]
    free = [asyncio.ensure_future(store.mailboxes.send("free", n)) for n in range(20)]
    await asyncio.wait_for(asyncio.gather(*free), 5)
    assert not any(each.done() for each in waiting)
    await connection.rollback()
    await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert (await store.mailboxes.count_entries("held")).queued == 21


async def test_a_call_whose_row_is_free_again_does_not_wait_for_those_whose_rows_are_not(
    store: Store, connection: psycopg.AsyncConnection[Any], postgres_url: str
) -> None:
    """The blocked ones occupy every waiting thread, and the others come after them."""
    async with store.batch(connection=connection) as step:
        step.threads.append("held", MESSAGE)
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        async with store.batch(connection=other) as step:
            step.threads.append("free", MESSAGE)
        waiting = [asyncio.ensure_future(store.threads.append("held", MESSAGE)) for _ in range(8)]
        soon = asyncio.ensure_future(store.threads.append("free", MESSAGE))
        await asyncio.wait({soon}, timeout=0.3)
        assert not soon.done()
        await other.rollback()
    assert (await asyncio.wait_for(soon, 20)).version == 1
    assert not any(each.done() for each in waiting)
    await connection.rollback()
    await asyncio.wait_for(asyncio.gather(*waiting), 20)


async def test_a_reopened_store_waits_as_before(
    url: str, connection: psycopg.AsyncConnection[Any]
) -> None:
    store = open_store(url, migrate=True)
    for _ in range(2):
        async with store:
            await store.mailboxes.ensure("held")
    async with store:
        await store.commit((EnsureMailbox(mailbox_id="held"),), connection=connection)
        waiting = asyncio.ensure_future(store.mailboxes.send("held", 1))
        await until_blocked(url)
        assert not waiting.done()
        await connection.rollback()
        await asyncio.wait_for(waiting, 10)


async def test_an_entry_committed_during_the_wait_is_read_together_with_its_mailbox(
    url: str, store: Store, connection: psycopg.AsyncConnection[Any]
) -> None:
    """The batch waits for one mailbox while a dead letter and its mailbox are committed."""
    state = MailboxState(mailbox_id="new", current_generation=3)
    dead = MailboxEntry(entry_id="dead", mailbox_id="new", status="dead_letter", generation=1)
    kept = (
        EnsureMailbox(mailbox_id="held"),
        RestoreMailbox(mailbox=state),
        RestoreEntry(entry=dead),
    )
    await store.commit(kept, connection=connection)
    batch = (EnsureMailbox(mailbox_id="held"), Requeue(entry_id="dead"))
    waiting = asyncio.ensure_future(store.commit(batch))
    await until_blocked(url)
    assert not waiting.done()
    await connection.commit()
    await asyncio.wait_for(waiting, 10)
    found = await store.mailboxes.load_entry("dead")
    assert found is not None
    assert (found.status, found.generation) == ("queued", 3)


async def test_a_write_for_which_there_was_no_thread_is_never_applied(
    url: str,
    store: Store,
    connection: psycopg.AsyncConnection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process may have no thread left for a moment; the pool has queued the call by then."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "waiter" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    async with store.batch(connection=connection) as step:
        step.threads.append("held", MESSAGE)
    with monkeypatch.context() as lacking:
        lacking.setattr(threading.Thread, "start", refuse)
        names = ("free", "held", "held", "free")
        calls = (store.threads.append(name, Message.user("refused")) for name in names)
        first, *refused, last = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(first, Committed)
        assert isinstance(last, Committed)
        for each in refused:
            assert isinstance(each, StoreUnavailable)
            assert "can't start new thread" in each.reason
    later = asyncio.ensure_future(store.threads.append("held", Message.user("later")))
    await until_blocked(url)
    await connection.rollback()
    await asyncio.wait_for(later, 10)
    await store.close()
    async with store:
        assert await store.threads.message_count("held") == 1
        assert await store.threads.message_count("free") == 2
