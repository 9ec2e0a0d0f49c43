"""Notices wake callers in other processes; without notices, they look by themselves."""

import asyncio
import errno
import selectors
import threading
from typing import Any

import pytest

from tests.postgres.activity import until_listening
from treadle import Store, open_store


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
