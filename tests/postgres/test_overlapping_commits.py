"""Commits in two groups at a time: in order where it matters, once each, whatever fails."""

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any, get_args

import psycopg
import pytest

from tests.postgres.appending_process import THREADS
from tests.postgres.proxy import Proxy, Side
from treadle import Message, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres import _overlapping
from treadle.backends.postgres._transactions import Commits

NAMES = [f"t{number}" for number in range(8)]


@pytest.fixture(autouse=True)
def overlap_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a second group for a single call, and make halves of two."""
    monkeypatch.setattr(_overlapping, "LEAST_BESIDE", 1)


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    async with open_store(f"{proxy.url}&listen=off", migrate=True) as opened:
        for name in NAMES:
            await opened.threads.create(Thread(id=name))
        yield opened


def said(text: object) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(Message.user(str(text)),))


async def texts(store: Store, name: str) -> list[str]:
    head = await store.threads.load(name)
    assert head is not None
    return [str(message.content) for message in head.thread.messages]


async def append_to_all(store: Store, names: tuple[str, ...], text: object) -> None:
    async with store.batch() as step:
        for name in names:
            step.threads.append(name, said(text))


async def test_a_group_is_committed_beside_another_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = Commits.carry_out
    begun = threading.Event()
    first_has_begun, other_has_ended = threading.Event(), threading.Event()

    def wait_once(commits: Commits, calls: list[Any]) -> list[Any]:
        if not begun.is_set():
            return carry_out(commits, calls)
        if not first_has_begun.is_set():
            first_has_begun.set()
            assert other_has_ended.wait(10)
            return carry_out(commits, calls)
        outcomes = carry_out(commits, calls)
        other_has_ended.set()
        return outcomes

    monkeypatch.setattr(Commits, "carry_out", wait_once)
    async with open_store(url, migrate=True) as store:
        for name in NAMES[:2]:
            await store.threads.create(Thread(id=name))
        begun.set()
        first = asyncio.ensure_future(store.threads.append("t0", said(1)))
        await asyncio.to_thread(first_has_begun.wait, 10)
        after = asyncio.ensure_future(store.threads.append("t0", said(2)))
        await store.threads.append("t1", said(3))
        assert (await first).version == 1
        assert (await after).version == 2


@pytest.mark.parametrize("seed", range(5))
async def test_calls_on_the_same_threads_stay_in_order(store: Store, seed: int) -> None:
    """Those of one thread and those of two; and those whose callers give up."""
    chosen = random.Random(seed)
    calls: list[tuple[tuple[str, ...], asyncio.Task[None]]] = []
    for number in range(300):
        names = tuple(chosen.sample(NAMES, chosen.choice((1, 1, 1, 2, 3))))
        task = asyncio.create_task(append_to_all(store, names, number))
        calls.append((names, task))
        if chosen.random() < 0.1:
            await asyncio.sleep(chosen.choice((0, 0.001, 0.01)))
        if chosen.random() < 0.1:
            chosen.choice(calls)[1].cancel()
    await asyncio.gather(*(task for _, task in calls), return_exceptions=True)
    for name in NAMES:
        found = await texts(store, name)
        asked = [(str(n), task) for n, (names, task) in enumerate(calls) if name in names]
        assert found == [text for text, _ in asked if text in found]
        missing = [task.cancelled() for text, task in asked if text not in found]
        assert all(missing)


async def test_an_entry_and_its_mailbox_stay_in_order(store: Store) -> None:
    sent = [await store.mailboxes.send(name, 1, dedupe_key="k") for name in NAMES]
    outcomes = await asyncio.gather(
        *(store.mailboxes.cancel(each.entry.entry_id) for each in sent),
        *(store.mailboxes.withdraw(name, "k") for name in NAMES),
        *(store.mailboxes.send(name, 2, dedupe_key="k") for name in NAMES),
    )
    reasons = {(each.status, each.last_error) for each in outcomes[:8]}  # type: ignore[union-attr]
    assert len(reasons) == 1
    assert outcomes[8:16] == outcomes[:8]


@pytest.mark.parametrize("side", get_args(Side))
@pytest.mark.parametrize("trip", [1, 2, 3, 4])
async def test_a_group_whose_connection_is_cut_is_applied_once_beside_another(
    proxy: Proxy, store: Store, trip: int, side: Side
) -> None:
    await asyncio.gather(*(store.threads.append(name, said("first")) for name in NAMES))
    proxy.cut(trip, side)
    for number in range(5):
        await asyncio.gather(*(store.threads.append(name, said(number)) for name in NAMES))
    assert proxy.has_cut
    for name in NAMES:
        assert await texts(store, name) == ["first", *"01234"]


async def test_a_thread_that_is_held_stops_nothing_else(store: Store, postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        async with store.batch(connection=connection) as step:
            step.threads.append("t0", said("held"))
        waiting = [asyncio.ensure_future(store.threads.append("t0", said(n))) for n in range(3)]
        for number in range(20):
            await asyncio.gather(*(store.threads.append(each, said(number)) for each in NAMES[1:]))
        assert not any(each.done() for each in waiting)
        await connection.commit()
        await asyncio.gather(*waiting)
    assert sorted(await texts(store, "t0")) == ["0", "1", "2", "held"]


async def test_closing_finishes_all_groups(url: str) -> None:
    async with open_store(url, migrate=True) as store:
        for name in NAMES:
            await store.threads.create(Thread(id=name))
        calls = [
            asyncio.ensure_future(store.threads.append(name, said(number)))
            for number in range(10)
            for name in NAMES
        ]
        await asyncio.sleep(0)
    assert [receipt.version for receipt in await asyncio.gather(*calls[-8:])] == [10] * 8


def acknowledged_until_killed(url: str) -> dict[str, int]:
    """How many appends to each thread a process has acknowledged before it was killed."""
    counts: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.postgres.appending_process", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, number = line.split()
            counts[name] = int(number) + 1
            if len(counts) == THREADS and min(counts.values()) == 3:
                process.kill()
    return counts


async def test_a_process_that_is_killed_leaves_whole_appends(url: str) -> None:
    """What it has acknowledged is there, and at most one append more of each thread."""
    async with open_store(url, migrate=True) as store:
        counts = await asyncio.to_thread(acknowledged_until_killed, url)
        assert len(counts) == THREADS
        for name, count in counts.items():
            found = await texts(store, name)
            assert found == [str(number) for number in range(len(found))]
            assert count <= len(found) <= count + 1
