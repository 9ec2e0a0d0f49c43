"""The commits that are profiled: what is prepared, and the operation that is timed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import treadle
from benchmarks.peers.treadle_store import says, send_all
from benchmarks.texts import payload, text
from treadle import MailboxEntry, Thread

Operation: TypeAlias = Callable[[int], Awaitable[None]]
Prepare: TypeAlias = Callable[[treadle.Store, int], Awaitable[Operation]]


async def _append(store: treadle.Store, count: int) -> Operation:
    await store.threads.create(Thread(id="t"))

    async def append(number: int) -> None:
        await store.threads.append("t", says(text(number)))

    return append


async def _send(store: treadle.Store, count: int) -> Operation:
    async def send(number: int) -> None:
        await store.mailboxes.send(f"m{number}", payload(number))

    return send


async def _claim(store: treadle.Store, count: int) -> Operation:
    await send_all(store, map(payload, range(count)), count)

    async def claim(_: int) -> None:
        await store.mailboxes.claim(consumer="bench")

    return claim


async def _claimed(store: treadle.Store, count: int) -> tuple[MailboxEntry, ...]:
    await send_all(store, map(payload, range(count)), count)
    return await store.mailboxes.claim(count, consumer="bench", lease_ms=600_000)


async def _ack(store: treadle.Store, count: int) -> Operation:
    entries = await _claimed(store, count)

    async def ack(number: int) -> None:
        await store.mailboxes.ack(entries[number])

    return ack


async def _step(store: treadle.Store, count: int) -> Operation:
    entries = await _claimed(store, count)
    await store.threads.create(Thread(id="t"))

    async def step(number: int) -> None:
        async with store.batch() as batch:
            batch.mailboxes.hold(entries[number])
            batch.threads.append("t", says(text(number)))
            batch.mailboxes.ack(entries[number])

    return step


COMMITS: Mapping[str, Prepare] = {
    "append": _append,
    "send": _send,
    "claim": _claim,
    "ack": _ack,
    "hold + append + ack": _step,
}
