"""A server that stops answering: every call ends soon after its deadline, and says what is known.

The connections stay open, as with a server whose machine hangs, or a network that loses packets.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Collection
from typing import Any

import psycopg
import pytest

from tests.postgres.activity import until_gone
from tests.postgres.hurry import hurried
from tests.postgres.proxy import Proxy
from treadle import Committed, Message, Store, Thread, ThreadChangeSet
from treadle.backends._deadline import Deadline, Patience
from treadle.backends._group_thread import Failure
from treadle.backends.postgres import _transactions
from treadle.backends.postgres._limits import ANSWER_SECONDS
from treadle.backends.postgres._transactions import Blocked, Call, Commits, Database
from treadle.backends.postgres._waiters import Waiters
from treadle.backends.postgres.backend import PostgresBackend
from treadle.backends.postgres.connection import Connection
from treadle.backends.postgres.location import parse_location
from treadle.core.commands import Commands
from treadle.core.hints import Hint
from treadle.core.thread_commands import AppendThread
from treadle.errors import StoreUnavailable

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))
CALL_SECONDS = 0.5
SLACK_SECONDS = 10.0
"""For a machine under load; without a deadline, each of these would wait for ever."""
UNKNOWN = "whether the write was committed is not known"


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    """A store through the proxy; its connection is there."""
    location = parse_location(f"{proxy.url}&listen=off")
    async with Store(PostgresBackend(location, migrate=True)) as opened:
        await opened.threads.create(Thread(id="t"))
        yield opened
        proxy.resume()


async def refusal(
    store: Store, call: Awaitable[Any], seconds: float = CALL_SECONDS
) -> StoreUnavailable:
    """The error of a call of the store, which must come soon after the deadline."""
    with hurried(store, seconds):
        return await refused(call, seconds)


async def refused(call: Awaitable[Any], seconds: float = CALL_SECONDS) -> StoreUnavailable:
    """The error of a call, which must come soon after the deadline."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await asyncio.wait_for(call, 60)
    assert time.monotonic() - started < seconds + ANSWER_SECONDS + SLACK_SECONDS
    return caught.value


async def version(store: Store) -> int:
    head = await store.threads.load("t")
    assert head is not None
    return head.version


@pytest.mark.parametrize("hold", ["requests", "answers"])
async def test_a_commit_that_stalls_before_its_commit_is_refused_and_changes_nothing(
    proxy: Proxy, store: Store, hold: Any
) -> None:
    proxy.stall(1, hold)
    error = await refusal(store, store.threads.append("t", MESSAGE))
    assert "the server does not answer" in error.reason
    assert UNKNOWN not in error.reason
    proxy.resume()
    assert await version(store) == 0
    assert (await store.threads.append("t", MESSAGE)).version == 1


@pytest.mark.parametrize(("hold", "happened"), [("requests", 0), ("answers", 1)])
async def test_a_commit_that_stalls_at_its_commit_is_unknown(
    proxy: Proxy, store: Store, hold: Any, happened: int
) -> None:
    proxy.stall(2, hold)
    error = await refusal(store, store.threads.append("t", MESSAGE))
    assert UNKNOWN in error.reason
    proxy.resume()
    assert await version(store) == happened


async def test_a_commit_whose_connection_is_lost_and_whose_server_then_stalls_is_unknown(
    proxy: Proxy, store: Store
) -> None:
    proxy.cut(2, "before the client hears of it")
    proxy.stall(3, "requests")
    error = await refusal(store, store.threads.append("t", MESSAGE))
    assert proxy.has_cut
    assert UNKNOWN in error.reason
    proxy.resume()
    assert await version(store) == 1


async def test_a_commit_that_cannot_connect_is_refused(proxy: Proxy, store: Store) -> None:
    proxy.cut(1, "before the server has it")
    proxy.stall_connecting()
    error = await refusal(store, store.threads.append("t", MESSAGE))
    assert "timeout" in error.reason
    assert UNKNOWN not in error.reason
    proxy.resume()
    assert await version(store) == 0


async def test_a_commit_that_another_transaction_blocks_is_refused(
    store: Store, postgres_url: str
) -> None:
    """The error names it, and so do those of the calls that wait behind the first one."""
    connecting = psycopg.AsyncConnection.connect(postgres_url, application_name="the keeper")
    async with await connecting as connection:
        async with store.batch(connection=connection) as step:
            step.threads.append("t", MESSAGE)
        pid = connection.info.backend_pid
        holder = f"process {pid} of the server ('the keeper', idle in transaction)"
        reasons: list[str] = []
        for seconds in (CALL_SECONDS, 2, 8):  # a busy server does not say it in half a second
            appends = [store.threads.append("t", MESSAGE) for _ in range(5)]
            calls = [refusal(store, append, seconds) for append in appends]
            reasons = [error.reason for error in await asyncio.gather(*calls)]
            assert all("another transaction holds rows" in reason for reason in reasons)
            assert not any(UNKNOWN in reason for reason in reasons)
            if any(holder in reason for reason in reasons):
                break
        assert any(holder in reason for reason in reasons), reasons
        await connection.rollback()
    assert (await store.threads.append("t", MESSAGE)).version == 1


async def test_a_group_that_stalls_ends_at_the_deadline_of_each_call(
    proxy: Proxy, store: Store
) -> None:
    proxy.stall(1, "requests")
    appends = [store.threads.append("t", MESSAGE) for _ in range(20)]
    errors = await asyncio.gather(*(refusal(store, append) for append in appends))
    assert {UNKNOWN in error.reason for error in errors} == {False}
    proxy.resume()
    assert await version(store) == 0


async def test_a_call_with_time_left_does_not_fail_with_one_whose_deadline_has_passed(
    url: str, store: Store
) -> None:
    """They are in one group, as the first had to wait for a group that was stuck."""
    database = Database(parse_location(url), "full", Connection)
    batch: Commands = (AppendThread(thread_id="t", changes=MESSAGE),)
    calls: list[Call[Commands]] = [
        Call(batch, Deadline.after(0)),
        Call(batch, Deadline.after(60)),
    ]
    waiters = Waiters(database.location)
    hints: list[Collection[Hint]] = []
    commits = Commits(database, lambda: 1, waiters.submit, hints.append)
    late, early = commits.carry_out(calls)
    assert isinstance(late, Failure)
    assert "the calls before this one took too long" in str(late.error)
    assert early.result().results == (Committed(version=1),)
    assert hints[-1] == {Hint(kind="thread", id="t")}
    waiters.close()
    database.close()


async def test_a_batch_by_itself_that_may_have_been_committed_gives_its_hints(
    proxy: Proxy, store: Store
) -> None:
    """As a group does: who listens would not look again before the next change."""
    database = Database(parse_location(proxy.url), "full", Connection)
    database.open(Patience.of(60))
    hints: list[Collection[Hint]] = []
    waiters = Waiters(database.location)
    commits = Commits(database, lambda: 1, waiters.submit, hints.append)
    batch: Commands = (AppendThread(thread_id="t", changes=MESSAGE),)
    proxy.stall(2, "answers")
    call = Call(batch, Deadline.after(CALL_SECONDS))
    error = waiters.submit(commits._commit, call).exception(60)
    proxy.resume()
    assert isinstance(error, StoreUnavailable)
    assert UNKNOWN in error.reason
    assert await version(store) == 1
    assert hints == [{Hint(kind="thread", id="t")}]
    waiters.close()
    database.close()


def test_a_call_that_waited_for_a_row_says_so_whatever_its_last_attempt_met(url: str) -> None:
    location = parse_location(url)
    blocked = Blocked("another transaction holds rows that this one needs: the keeper")

    def fail(call: Call[None], turn_ms: int) -> None:
        error = StoreUnavailable(str(location), "connection timeout: the server does not answer")
        raise error from psycopg.OperationalError("connection timeout")

    waiters = Waiters(location)
    call = Call(None, Deadline.after(60))
    error = waiters.submit(fail, call, blocked).exception(60)
    waiters.close()
    assert isinstance(error, StoreUnavailable)
    assert error.reason.startswith(blocked.reason)
    assert error.reason.endswith("the server does not answer")
    assert isinstance(error.__cause__, psycopg.OperationalError)


async def test_a_call_whose_time_ended_while_its_group_waited_for_a_row_says_so(
    store: Store, postgres_url: str, url: str
) -> None:
    location = parse_location(url)
    database = Database(location, "full", Connection)
    database.open(Patience.of(60))
    waiters = Waiters(location)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        async with store.batch(connection=connection) as step:
            step.threads.append("t", MESSAGE)
        batch: Commands = (AppendThread(thread_id="t", changes=MESSAGE),)
        commits = Commits(database, lambda: 1, waiters.submit, lambda hints: None)
        errors: list[BaseException | None] = []
        for _ in range(20):
            calls = [Call(batch, Deadline.after(0.09)) for _ in range(2)]
            errors = [
                each.error if isinstance(each, Failure) else each.exception(60)
                for each in commits.carry_out(calls)
            ]
            if not any("took too long" in str(error) for error in errors):
                break  # otherwise their time had ended before they began
        assert all("another transaction holds rows" in str(error) for error in errors), errors
        await connection.rollback()
    waiters.close()
    database.close()


async def test_a_claim_that_stalls_is_refused(proxy: Proxy, store: Store) -> None:
    await store.mailboxes.send("box", 1)
    proxy.stall(1, "answers")
    error = await refusal(store, store.mailboxes.claim(consumer="w", lease_ms=60_000))
    assert "the server does not answer" in error.reason
    assert UNKNOWN not in error.reason
    proxy.resume()
    (entry,) = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    assert entry.attempt_count == 1


async def test_a_claim_that_stalls_at_its_commit_is_unknown(proxy: Proxy, store: Store) -> None:
    await store.mailboxes.send("box", 1)
    proxy.stall(2, "answers")
    error = await refusal(store, store.mailboxes.claim(consumer="w", lease_ms=60_000))
    assert UNKNOWN in error.reason


async def test_a_read_that_stalls_is_refused(proxy: Proxy, store: Store) -> None:
    proxy.stall(1, "answers")
    error = await refusal(store, store.threads.load("t"))
    assert "the server does not answer" in error.reason
    assert UNKNOWN not in error.reason


async def test_a_wait_that_stalls_is_refused(proxy: Proxy, store: Store) -> None:
    proxy.stall(1, "answers")
    assert "does not answer" in (await refusal(store, store.mailboxes.wait(100))).reason


async def test_closing_ends_though_the_server_stalls(proxy: Proxy, store: Store) -> None:
    proxy.stall(1, "requests")
    append = asyncio.ensure_future(refusal(store, store.threads.append("t", MESSAGE)))
    await asyncio.sleep(0)
    started = time.monotonic()
    await asyncio.wait_for(store.close(), 60)
    assert time.monotonic() - started < CALL_SECONDS + ANSWER_SECONDS + SLACK_SECONDS
    await append


async def test_closing_ends_though_notices_stall(proxy: Proxy) -> None:
    backend = PostgresBackend(parse_location(proxy.url), migrate=True, call_seconds=CALL_SECONDS)
    async with Store(backend) as store:
        await store.mailboxes.send("box", 1)
        await store.mailboxes.wait(10)  # both connections for notices are wanted by now
        proxy.stall_connecting()
        proxy.stall(1, "requests")
        with pytest.raises(StoreUnavailable):
            await store.mailboxes.send("box", 2)
        started = time.monotonic()
    limit = CALL_SECONDS + ANSWER_SECONDS
    assert time.monotonic() - started < limit + SLACK_SECONDS
    proxy.resume()


async def test_an_opening_that_stalls_is_refused(proxy: Proxy, store: Store) -> None:
    location = parse_location(f"{proxy.url}&listen=off")
    backend = PostgresBackend(location, call_seconds=CALL_SECONDS)
    proxy.stall(1, "requests")
    await refused(Store(backend).open())


async def test_closing_does_not_wait_for_calls_until_their_deadline(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transactions, "CLOSING_SECONDS", 0.2)
    backend = PostgresBackend(parse_location(f"{proxy.url}&listen=off"), migrate=True)
    store = await Store(backend).open()
    await store.threads.create(Thread(id="t"))
    proxy.stall(1, "requests")
    append = asyncio.ensure_future(store.threads.append("t", MESSAGE))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(SLACK_SECONDS):
        await store.close()
    with pytest.raises(StoreUnavailable):
        await append


@pytest.mark.parametrize("migrate", [False, True])
@pytest.mark.parametrize("stage", ["connecting", "the first answer"])
async def test_an_opening_can_be_cancelled(
    proxy: Proxy, store: Store, url: str, *, migrate: bool, stage: str
) -> None:
    """It ends at once, and leaves no connection."""
    if stage == "connecting":
        proxy.stall_connecting()
    else:
        proxy.stall(1, "requests")
    location = parse_location(f"{proxy.url}&listen=off&application_name=cancelled")
    opening = Store(PostgresBackend(location, migrate=migrate)).open()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opening, 0.2)
    assert time.monotonic() - started < SLACK_SECONDS / 2
    proxy.resume()
    await until_gone(url, "cancelled")


def test_control_c_ends_an_opening(proxy: Proxy, store: Store) -> None:
    proxy.stall_connecting()
    program = f"import asyncio, treadle; asyncio.run(treadle.open_store({proxy.url!r}).open())"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", f"print('started'); {program}"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        proxy.until_connected()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SLACK_SECONDS)
    assert b"KeyboardInterrupt" in errors


async def test_a_commit_waits_for_a_thread_that_connects(
    proxy: Proxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its COMMIT had no answer, and only another connection can tell what came of it."""
    start, refusals = threading.Thread.start, iter(range(2))

    def refuse(thread: threading.Thread) -> None:
        if "connect" in thread.name and next(refusals, None) is not None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    proxy.cut(2, "before the client hears of it")
    assert (await store.threads.append("t", MESSAGE)).version == 1
    assert next(refusals, None) is None
    assert await version(store) == 1


async def test_a_commit_for_which_no_thread_connects_is_unknown(
    proxy: Proxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "connect" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as lacking:
        lacking.setattr(threading.Thread, "start", refuse)
        proxy.cut(2, "before the client hears of it")
        error = await refusal(store, store.threads.append("t", MESSAGE))
    assert "can't start new thread" in error.reason
    assert UNKNOWN in error.reason
    assert await version(store) == 1
