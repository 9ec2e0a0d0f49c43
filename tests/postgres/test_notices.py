"""Notices wake callers in other processes; without notices, they look by themselves."""

import asyncio
import errno
import selectors
import threading
from typing import Any

import psycopg
import pytest

from tests.postgres.activity import until_listening
from treadle import Store, Thread, open_store
from treadle.backends.postgres._live import LiveNotices
from treadle.backends.postgres.location import parse_location


async def check_that_a_send_ends_the_wait(store: Store, waiting: "asyncio.Future[None]") -> None:
    assert not waiting.done()
    await store.mailboxes.send("box", 1)
    await asyncio.wait_for(waiting, 10)


async def test_a_notice_wakes_a_caller_that_does_not_look_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.backends.postgres.backend.LOOK_SECONDS", 3_600)
    async with open_store(url) as store, open_store(url) as elsewhere:
        waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(60_000))
        await until_listening(url)
        await check_that_a_send_ends_the_wait(store, waiting)


async def test_a_caller_without_notices_looks_by_itself(url: str) -> None:
    async with open_store(url) as store, open_store(f"{url}&listen=off") as elsewhere:
        waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(60_000))
        await asyncio.wait({waiting}, timeout=0.1)  # it has looked once by now, or looks later
        await check_that_a_send_ends_the_wait(store, waiting)


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")],
    ids=["no descriptor", "no thread"],
)
async def test_notices_are_heard_again_after_the_process_lacked_something(
    url: str, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    failed = threading.Event()

    def select_later(*arguments: Any) -> selectors.BaseSelector:
        if not failed.is_set():
            failed.set()
            raise failure
        return selectors.SelectSelector(*arguments)

    channel = "treadle.backends.postgres._channel"
    monkeypatch.setattr(f"{channel}.NOTICE_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("treadle.backends.postgres.backend.LOOK_SECONDS", 3_600)
    async with open_store(url) as store, open_store(url) as elsewhere:
        with monkeypatch.context() as lacking:
            lacking.setattr(f"{channel}.selectors.DefaultSelector", select_later)
            waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(60_000))
            await asyncio.to_thread(failed.wait, 10)
            await until_listening(url)
        await check_that_a_send_ends_the_wait(store, waiting)


END = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = %s AND query LIKE %s"""


def end_sessions(url: str, name: str, query: str) -> None:
    """Let the server end the sessions whose last statement was this one, as when it restarts."""
    with psycopg.connect(parse_location(url).conninfo, autocommit=True) as connection:
        assert set(connection.execute(END, [name, query]).fetchall()) == {(True,)}


async def test_a_live_value_is_not_lost_with_a_session_that_was_idle(
    url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends idle sessions would take the beginning of each answer."""
    monkeypatch.setattr("treadle.backends.postgres._channel.NOTICE_IDLE_SECONDS", 0)
    async with (
        open_store(f"{url}&application_name={schema}") as store,
        open_store(url) as elsewhere,
    ):
        await store.threads.create(Thread(id="t"))
        async with elsewhere.live.follow("t") as values:
            for value in (1, 2):
                await store.live.publish("t", value)
                assert await asyncio.wait_for(anext(values), 10) == value
                end_sessions(url, schema, "SELECT pg_catalog.pg_notify%")


async def test_who_begins_to_follow_waits_for_a_listener_that_was_lost(
    url: str, schema: str
) -> None:
    notices = LiveNotices(parse_location(f"{url}&application_name={schema}"), call_seconds=5)
    try:
        await notices.follow("t")
        assert notices.is_listening.is_set()
        end_sessions(url, schema, "LISTEN%")
        async with asyncio.timeout(10):
            while notices.is_listening.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await notices.follow("t")
        assert notices.is_listening.is_set()
    finally:
        notices.close()


async def test_a_commit_is_no_failure_because_there_is_no_thread_for_notices(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.endswith(("-notifier", "-listener")):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr("treadle.backends.postgres.backend.LOOK_SECONDS", 3_600)
    async with open_store(url) as store, open_store(url) as elsewhere:
        with monkeypatch.context() as lacking:
            lacking.setattr(threading.Thread, "start", refuse)
            await store.threads.create(Thread(id="t"))
            await store.live.publish("t", 1)
            await store.mailboxes.wait(1)
        waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(60_000))
        await until_listening(url)
        await check_that_a_send_ends_the_wait(store, waiting)


async def test_closing_ends_a_notifier_that_is_about_to_forget_a_call(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen that the store is open, and forgets that it was woken: by the closing, too."""
    store = await open_store(url).open()
    backend: Any = store._backend
    channel = backend._notices
    forgetting, may_forget = threading.Event(), threading.Event()

    class Slow(threading.Event):
        def clear(self) -> None:
            forgetting.set()
            may_forget.wait(10)
            super().clear()

    monkeypatch.setattr(channel, "_wanted", Slow())
    channel.notify()
    assert await asyncio.to_thread(forgetting.wait, 10)
    closing = asyncio.ensure_future(store.close())
    while channel._end.fileno() != -1:  # noqa: ASYNC110 - it calls both threads before
        await asyncio.sleep(0.001)
    may_forget.set()
    ended, _ = await asyncio.wait({closing}, timeout=5)
    channel._wanted.set()  # if it was forgotten, so that the test ends
    await closing
    assert ended
