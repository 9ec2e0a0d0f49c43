"""Several workers, and everything that can happen to an entry, at random and at once."""

import asyncio
import random
import time
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from tests.marks import every_backend
from tests.worker.support import AT_ONCE, Recorder, load, says

import treadle
from treadle import ClaimConflict, Store, Thread
from treadle.worker import (
    Claimed,
    DeadLettered,
    Delivery,
    Done,
    LeaseLost,
    Reject,
    Released,
    Retried,
    Withdrawn,
    Worker,
)

ENDS = (Done, Retried, DeadLettered, Released, LeaseLost, Withdrawn)


class Chaos:
    """A handler that takes random steps and remembers what it was promised.

    Each committed step leaves a message that names the entry and the claim.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.tried: Counter[str] = Counter()
        self.promised: Counter[str] = Counter()
        self.active: Counter[str] = Counter()
        self.fenced = 0

    async def __call__(self, delivery: Delivery) -> None:
        try:
            await self._work(delivery)
        except ClaimConflict:
            self.fenced += 1
            raise

    async def _work(self, delivery: Delivery) -> None:
        chance, entry = self.chance, delivery.entry
        mark = f"{entry.entry_id}:{entry.claim_token}"
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(chance.random() * 0.004)
            self.tried[mark] += 1
            async with delivery.batch(settle=False) as step:
                step.threads.append(entry.mailbox_id, says(mark))
            self.promised[mark] += 1
        await asyncio.sleep(chance.random() * 0.004)
        fate = chance.random()
        if fate < 0.15:
            raise ValueError("at random")
        if fate < 0.2:
            raise Reject("at random")
        if fate < 0.7:
            self.tried[mark] += 1
            async with delivery.batch() as step:
                step.threads.append(entry.mailbox_id, says(mark))
                if chance.random() < 0.2:
                    step.mailboxes.send(f"m{chance.randrange(4)}", "more")
            self.promised[mark] += 1


async def disturb(store: Store, chance: random.Random, until: float) -> None:
    """Interrupt mailboxes, cancel entries, requeue dead letters, send more."""
    while time.monotonic() < until:
        await asyncio.sleep(chance.random() * 0.02)
        match chance.randrange(4):
            case 0:
                await store.mailboxes.interrupt(f"m{chance.randrange(4)}")
            case 1:
                page = await store.mailboxes.list(status="claimed")
                for entry in page.items[:1]:
                    await store.mailboxes.cancel(entry.entry_id)
            case 2:
                page = await store.mailboxes.list(status="dead_letter")
                for entry in page.items[:1]:
                    await store.mailboxes.requeue(entry.entry_id)
            case _:
                await store.mailboxes.send(f"m{chance.randrange(4)}", "sudden")


async def restart(worker: Worker, chance: random.Random, until: float) -> None:
    """Run, be stopped or cancelled, run again."""
    while time.monotonic() < until:
        task = asyncio.create_task(worker.run())
        await asyncio.sleep(chance.random() * 0.15)
        if chance.random() < 0.5:
            worker.stop()
        else:
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def check_threads(store: Store, chaos: Chaos) -> None:
    """What was promised is there, nothing is there twice, and no claim wrote after the next one."""
    found: Counter[str] = Counter()
    for number in range(4):
        head = await store.threads.load(f"m{number}")
        assert head is not None
        assert head.version == len(head.thread.messages)
        marks = [str(message.content) for message in head.thread.messages]
        found.update(marks)
        stretches = [mark for mark, _ in groupby(marks)]
        assert len(stretches) == len(set(stretches))
    assert chaos.promised <= found <= chaos.tried


@every_backend
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_threads_hold_exactly_what_was_committed(
    store: Store, seed: int
) -> None:
    chance = random.Random(seed)
    chaos, recorder = Chaos(chance), Recorder()
    for number in range(4):
        await store.threads.create(Thread(id=f"m{number}"))
    for number in range(40):
        await store.mailboxes.send(f"m{number % 4}", number, priority=chance.randrange(3))
    workers = [
        Worker(
            store,
            chaos,
            concurrency=2,
            lease_ms=60,
            grace_ms=chance.choice([0, 5, 50]),
            backoff=AT_ONCE,
            max_attempts=4,
            on_event=recorder,
        )
        for _ in range(3)
    ]
    until = time.monotonic() + 0.4
    async with asyncio.TaskGroup() as group:
        group.create_task(disturb(store, chance, until))
        for worker in workers:
            group.create_task(restart(worker, chance, until))
    await asyncio.gather(*(worker.run(until_idle=True) for worker in workers))
    await check_threads(store, chaos)
    stats = await store.mailboxes.stats()
    assert (stats.queued, stats.claimed) == (0, 0)
    check_events(recorder)


def check_events(recorder: Recorder) -> None:
    """Each claim has at most one start and exactly one end."""
    starts = Counter(event.entry.claim_token for event in recorder.of(Claimed))
    assert set(starts.values()) == {1}
    ends = Counter(event.entry.claim_token for kind in ENDS for event in recorder.of(kind))
    assert set(ends.values()) == {1}
    assert set(starts) <= set(ends)


@pytest.mark.parametrize("seed", range(4))
async def test_workers_on_stores_of_their_own_share_a_folder(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with treadle.open_store(tmp_path / "store") as store:
        sent = [await store.mailboxes.send(f"m{n % 5}", n) for n in range(40)]
        seen: Counter[str] = Counter()

        async def handler(delivery: Delivery) -> None:
            await asyncio.sleep(chance.random() * 0.002)
            seen[delivery.entry.entry_id] += 1

        async def work() -> None:
            async with treadle.open_store(tmp_path / "store") as own:
                await Worker(own, handler).run(until_idle=True)

        async with asyncio.timeout(20):
            await asyncio.gather(work(), work(), work())
        assert seen == Counter(entry.entry_id for entry in sent)
        for entry in sent:
            assert (await load(store, entry)).status == "accepted"
