"""A blocking store in processes that fork, are interrupted, and exit."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.marks import every_backend
from treadle import StoreClosed
from treadle.blocking import Store, open_store
from treadle.blocking._portal import _Call

EXIT = """
import sys, threading
from treadle.blocking import open_store

store = open_store(sys.argv[1]).open()
store.mailboxes.send("m", 1)
threading.Thread(target=lambda: list(store.changes()), daemon=True).start()
late = threading.Thread(target=lambda: store.mailboxes.send("m", 2))
late.start()
"""

INTERRUPTED = """
import os, signal, sys, threading
from treadle.blocking import open_store

with open_store(sys.argv[1]) as store:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        if sys.argv[2] == "wait":
            store.mailboxes.wait(60_000)
        else:
            list(store.changes(mailbox_id="m"))
    except KeyboardInterrupt:
        print("interrupted")
    store.mailboxes.send("m", 1)
    print(store.mailboxes.count_entries().queued)
"""


def run(code: str, *arguments: str) -> str:
    """Run a program to its end; it may write nothing to standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_program_that_ends_without_closing_has_lost_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    run(EXIT, url)
    with open_store(url) as store:
        assert store.mailboxes.count_entries("m").queued == 2


@pytest.mark.parametrize("what", ["wait", "changes"])
@every_backend
def test_an_interrupt_ends_the_call_and_not_the_store(store_url: str, what: str) -> None:
    assert run(INTERRUPTED, store_url, what) == "interrupted\n1\n"


async def test_a_call_that_is_interrupted_before_it_begins_has_an_end() -> None:
    """The loop may be busy, so that both come to it at once."""
    call = _Call(asyncio.sleep(60))
    call.begin()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.wrap_future(call.outcome), 10)


def test_a_call_that_is_interrupted_while_it_is_handed_over_ends_on_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A coroutine that has begun must not be closed by another thread."""
    ended: list[object] = []
    has_begun, has_ended = threading.Event(), threading.Event()

    async def work(_: object) -> None:
        has_begun.set()
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            ended.append((type(error), threading.current_thread().name))
            has_ended.set()
            raise

    with open_store("memory:") as store:
        loop = store._portal._current.loop  # type: ignore[union-attr]  # pyright: ignore
        hand_over = loop.call_soon_threadsafe

        def interrupted(*arguments: Any) -> None:
            monkeypatch.undo()
            hand_over(*arguments)
            assert has_begun.wait(30)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.run(work)
        assert has_ended.is_set()
    assert ended == [(asyncio.CancelledError, "treadle-blocking")]


def test_a_call_that_is_interrupted_before_it_is_handed_over_does_not_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(_: object) -> None:
        raise AssertionError("it has begun")

    with open_store("memory:") as store:
        loop = store._portal._current.loop  # type: ignore[union-attr]  # pyright: ignore

        def interrupted(*_: Any) -> None:
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.run(work)
        store.mailboxes.send("m", 1)


@every_backend
def test_an_interrupt_that_comes_when_a_store_has_just_opened_closes_it(store_url: str) -> None:
    store = open_store(store_url)
    original = store._store
    opening = original.open

    async def open_and_interrupt() -> treadle.Store:
        opened = await opening()
        # It wakes nobody: the main thread notices it when it has the outcome.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return opened

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(original, "open", open_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.open()
    assert repr(original).endswith("closed>")
    with store:
        store.mailboxes.send("m", 1)


@every_backend
def test_a_signal_that_closes_a_store_may_come_while_it_is_closed(store_url: str) -> None:
    store = open_store(store_url).open()
    original = store._store
    closing = original.close
    calls: list[str] = []
    is_closed = asyncio.Event()

    async def close_and_be_signalled() -> None:
        calls.append("close")
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
            await is_closed.wait()
        await closing()
        is_closed.set()

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = {
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, lambda *_: store.close()),
        signal.SIGALRM: signal.signal(signal.SIGALRM, give_up),
    }
    signal.alarm(30)  # a lock that is waited for in vain
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(original, "close", close_and_be_signalled)
            store.close()
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert calls == ["close", "close"]
    with store:
        store.mailboxes.send("m", 1)


def test_a_child_that_is_forked_while_a_store_is_being_closed_may_use_the_store() -> None:
    store = open_store("memory:").open()
    is_closing, may_close = threading.Event(), threading.Event()
    closing = store._store.close

    async def close_slowly() -> None:
        is_closing.set()
        await asyncio.to_thread(may_close.wait)
        await closing()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store._store, "close", close_slowly)
        closer = threading.Thread(target=store.close)
        closer.start()
        assert is_closing.wait(30)
        child = os.fork()
        if child == 0:
            patched.undo()
            try:
                signal.alarm(20)  # which ends a child that waits for a lock for ever
                store.close()
                with store:
                    store.mailboxes.send("m", 1)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        may_close.set()
        closer.join()
    assert status == 0


@every_backend
def test_a_forked_child_is_refused_and_may_open_a_store_again(store_url: str) -> None:
    with open_store(store_url) as store:
        store.mailboxes.send("m", 1)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, in_child(store, store_url).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answers:
            assert answers.read() == "refused, closed, opened"
        os.waitpid(child, 0)
        assert store.mailboxes.count_entries("m").queued == 1


def in_child(store: Store, url: str) -> str:
    """Use the inherited store, which is refused, then close it, and open another."""
    answers = []
    try:
        store.mailboxes.send("m", 2)
    except StoreClosed as error:
        assert "forked" in str(error)
        answers.append("refused")
    store.close()
    answers.append("closed")
    with open_store(url) as other:
        other.mailboxes.ensure("n")
        answers.append("opened")
    return ", ".join(answers)
