"""Retention: old threads are deleted with all that is theirs, and active ones stay."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.marks import every_backend
from treadle import InvalidValue, PurgedThreads, RunRecord, Store, Thread, open_store
from treadle.commands import PurgeThread
from treadle.testing._harness.builders import says
from treadle.testing.clock import ManualClock


async def add(store: Store, thread_id: str, **labels: Any) -> None:
    await store.threads.create(Thread(id=thread_id, **labels))
    await store.threads.append(thread_id, says("hello"))
    run = RunRecord(run_id=f"run of {thread_id}", thread_id=thread_id, status="done")
    await store.runs.upsert(run)
    await store.mailboxes.send(thread_id, 1)
    [entry] = await store.mailboxes.claim(consumer="w", mailbox_id=thread_id)
    await store.mailboxes.ack(entry)


async def left(store: Store) -> list[str]:
    return [head.id for head in (await store.threads.list_summaries()).items]


@every_backend
async def test_old_threads_go_with_their_runs_and_mailboxes(
    store: Store, clock: ManualClock
) -> None:
    await add(store, "old", resource_id="ann")
    await add(store, "older", resource_id="bob")
    clock.now += 100
    await add(store, "new", resource_id="ann")
    seen: list[PurgedThreads] = []
    purged = await store.purge_threads(clock.now, report=seen.append)
    assert purged == PurgedThreads(threads=2, runs=2, mailboxes=2, entries=2)
    assert [each.threads for each in seen] == [1, 2]
    assert await left(store) == ["new"]
    assert (await store.runs.count()).done == 1
    assert (await store.mailboxes.count_entries()).accepted == 1
    assert await store.purge_threads(clock.now) == PurgedThreads()


@every_backend
async def test_active_threads_stay_whole_and_are_counted(store: Store, clock: ManualClock) -> None:
    for thread_id in ("waits", "held", "runs", "asks", "dead", "idle"):
        await add(store, thread_id)
    await store.mailboxes.send("waits", 1, delay_ms=10**9)
    await store.mailboxes.send("held", 1)
    await store.mailboxes.claim(consumer="w", mailbox_id="held")
    await store.runs.upsert(RunRecord(run_id="now", thread_id="runs", status="running"))
    await store.runs.upsert(RunRecord(run_id="asks", thread_id="asks", status="waiting"))
    await store.mailboxes.send("dead", 1)
    [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="dead")
    await store.mailboxes.dead_letter(entry, error="no")
    clock.now += 100
    purged = await store.purge_threads(clock.now)
    assert purged == PurgedThreads(threads=2, runs=2, mailboxes=2, entries=3, active=4)
    assert await left(store) == ["asks", "held", "runs", "waits"]
    assert (await store.runs.count()).done == 4


@every_backend
async def test_a_thread_stays_as_long_as_one_below_it_does(
    store: Store, clock: ManualClock
) -> None:
    await add(store, "root")
    await add(store, "middle", parent_thread_id="root")
    await add(store, "old leaf", parent_thread_id="middle")
    clock.now += 100
    await add(store, "leaf", parent_thread_id="middle")
    until = clock.now
    clock.now += 100
    purged = await store.purge_threads(until)
    assert (purged.threads, purged.active) == (1, 2)
    assert await left(store) == ["leaf", "middle", "root"]
    assert (await store.purge_threads(until + 1)).threads == 3


@every_backend
async def test_threads_of_one_owner_are_purged_alone(store: Store, clock: ManualClock) -> None:
    await add(store, "of ann", resource_id="ann")
    await add(store, "below", parent_thread_id="of ann")
    await add(store, "of bob", resource_id="bob")
    await add(store, "shared", resource_id="ann")
    await add(store, "below shared", resource_id="bob", parent_thread_id="shared")
    clock.now += 100
    purged = await store.purge_threads(clock.now, resource_id="ann")
    assert (purged.threads, purged.active) == (2, 1)
    assert await left(store) == ["below shared", "of bob", "shared"]


async def test_a_thread_with_many_runs_goes_in_steps(clock: ManualClock) -> None:
    async with open_store("memory:", clock=clock) as store:
        await add(store, "t")
        for number in range(250):
            await store.runs.upsert(RunRecord(run_id=f"r{number}", thread_id="t", status="done"))
        clock.now += 100
        purged = await store.purge_threads(clock.now)
        assert (purged.threads, purged.runs) == (1, 251)
        assert (await store.runs.count()).done == 0


async def test_threads_that_are_below_each_other_go(clock: ManualClock) -> None:
    async with open_store("memory:", clock=clock) as store:
        await add(store, "a", parent_thread_id="b")
        await add(store, "b", parent_thread_id="a")
        await add(store, "self", parent_thread_id="self")
        clock.now += 100
        assert (await store.purge_threads(clock.now)).threads == 3


@every_backend
@pytest.mark.parametrize("what", ["message", "entry", "child", "saved child", "moved child"])
async def test_a_thread_that_gets_something_meanwhile_stays_with_it(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await add(store, "t")
    child = Thread(id="child", parent_thread_id="t")
    clock.now += 100
    if what == "moved child":
        await add(store, "child", parent_thread_id="other")
    commit = store._backend.commit

    async def beaten(batch: Any) -> Any:
        if isinstance(batch[-1], PurgeThread) and batch[-1].thread_id == "t":
            monkeypatch.setattr(store._backend, "commit", commit)
            match what:
                case "message":
                    await store.threads.append("t", says("again"))
                case "entry":
                    await store.mailboxes.send("t", 2)
                case "child":
                    await store.threads.create(child)
                case "saved child":
                    await store.threads.save(child)
                case _:
                    await store.threads.update("child", parent_thread_id="t")
        return await commit(batch)

    monkeypatch.setattr(store._backend, "commit", beaten)
    purged = await store.purge_threads(clock.now)
    assert (purged.threads, purged.active) == (0, 1)
    assert len((await store.threads.list_messages("t")).messages) == (2 if what == "message" else 1)
    assert (await store.mailboxes.count_entries("t")).queued == (1 if what == "entry" else 0)
    assert await left(store) == (["child", "t"] if "child" in what else ["t"])
    assert await store.runs.load("run of t") is not None


async def test_the_arguments_are_checked() -> None:
    async with open_store("memory:") as store:
        for bad in (-1, 1.5, "1", 2**70):
            with pytest.raises(InvalidValue, match="changed_before"):
                await store.purge_threads(bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="resource_id"):
            await store.purge_threads(1, resource_id=3)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match="report"):
            await store.purge_threads(1, report=3)  # type: ignore[arg-type]


PURGE = """
import asyncio, os, signal, sys
import treadle

async def main(url):
    async with treadle.open_store(url) as store:
        def report(purged):
            if purged.threads == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        await store.purge_threads(2**62, report=report)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize("scheme", ["file://", "sqlite:///"])
async def test_a_purge_that_was_killed_is_done_again(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}{tmp_path}/agents"
    async with open_store(url) as store:
        for number in range(12):
            await add(store, f"t{number}")
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", PURGE, url)
    await killed.wait()
    assert killed.returncode == -signal.SIGKILL
    async with open_store(url) as store:
        assert len(await left(store)) == 7
        purged = await store.purge_threads(2**62)
        assert msgspec.structs.replace(purged, active=0) == PurgedThreads(
            threads=7, runs=7, mailboxes=7, entries=7
        )
        assert await left(store) == []
        assert (await store.runs.count()).done == 0
