"""The server stops and starts in mid-load: nothing acknowledged is lost, nothing is done twice."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.postgres.server import Server
from treadle import Message, Store, Thread, ThreadChangeSet, open_store
from treadle.worker import Delivery, Worker

SENDERS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that no other test uses."""
    with Server() as opened:
        yield opened


def said(number: int) -> ThreadChangeSet:
    message = Message(id=f"m{number}", role="user", content=str(number))
    return ThreadChangeSet(run_id="", reason="UserMessage", messages=(message,))


async def restarted(server: Server, mode: Literal["fast", "immediate"]) -> None:
    await asyncio.to_thread(server.restart, mode)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_acknowledged_appends_are_applied_once(
    server: Server, mode: Literal["fast", "immediate"]
) -> None:
    """Each append is expected at its version: one that was applied twice would make the next one
    fail."""
    url = f"{server.url}&schema=appends_{mode}"
    ending = asyncio.Event()
    versions = dict.fromkeys((f"t{n}" for n in range(SENDERS)), 0)

    async def append(store: Store, thread: str) -> None:
        await store.threads.create(Thread(id=thread))
        while not ending.is_set():
            changes = said(versions[thread])
            committed = await store.threads.append(thread, changes, expected=versions[thread])
            versions[thread] = committed.version

    async def until_all_have_appended(count: int) -> None:
        wanted = {thread: version + count for thread, version in versions.items()}
        while any(versions[thread] < wanted[thread] for thread in versions):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async with open_store(url, migrate=True) as store:
        appending = [asyncio.ensure_future(append(store, thread)) for thread in versions]
        async with asyncio.timeout(60):
            for _ in range(3):
                await until_all_have_appended(3)
                await restarted(server, mode)
            await until_all_have_appended(3)
        ending.set()
        await asyncio.gather(*appending)
        for thread, version in versions.items():
            head = await store.threads.load(thread)
            assert head is not None
            assert head.version == version
            assert [message.id for message in head.thread.messages] == [
                f"m{each}" for each in range(version)
            ]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_workers_reconnect_and_do_everything_once(
    server: Server, mode: Literal["fast", "immediate"]
) -> None:
    """Each entry appends to its mailbox's thread and acks, in one step."""
    url = f"{server.url}&schema=workers_{mode}"
    boxes, each = 20, 30

    async def handle(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.threads.append(delivery.entry.mailbox_id, said(delivery.entry.payload))

    async with open_store(url, migrate=True) as store, open_store(url) as elsewhere:
        for box in range(boxes):
            await store.threads.create(Thread(id=f"b{box}"))
        workers = [
            Worker(each, handle, concurrency=8, lease_ms=5_000) for each in (store, elsewhere)
        ]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(worker.run()) for worker in workers]
            for number in range(each):
                await asyncio.gather(
                    *(store.mailboxes.send(f"b{box}", number) for box in range(boxes))
                )
                if number % 10 == 5:
                    await restarted(server, mode)
            async with asyncio.timeout(60):
                while (await store.mailboxes.count_entries()).accepted < boxes * each:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            for worker in workers:
                worker.stop()
            await asyncio.wait(running)
        for box in range(boxes):
            head = await store.threads.load(f"b{box}")
            assert head is not None
            assert sorted(int(str(m.content)) for m in head.thread.messages) == list(range(each))
            assert head.version == each


async def test_a_commit_waits_for_a_server_that_is_away(server: Server) -> None:
    url = f"{server.url}&schema=away"
    async with open_store(url, migrate=True) as store:
        await store.threads.create(Thread(id="t"))
        await asyncio.to_thread(server.stop, "fast")
        waiting = asyncio.ensure_future(store.threads.append("t", said(0)))
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()
        await asyncio.to_thread(server.start)
        assert (await asyncio.wait_for(waiting, 20)).version == 1
