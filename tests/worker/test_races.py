"""Several workers at once, and everything that can happen to an entry, at random."""

import asyncio
import random
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    AT_ONCE,
    NewWorker,
    Recorder,
    load,
    passing_time,
    pause,
    says,
    until_idle,
)

import treadle
from treadle import Store, Thread
from treadle.testing import ManualClock
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
    """A handler that takes random steps and remembers which of them were acknowledged.

    Each committed step leaves a message that names the entry and the claim.
    """

    def __init__(self, chance: random.Random, clock: ManualClock) -> None:
        self.chance = chance
        self.clock = clock
        self.tried: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()

    async def __call__(self, delivery: Delivery) -> None:
        chance, entry = self.chance, delivery.entry
        mark = f"{entry.entry_id}:{entry.claim_token}"
        for _ in range(chance.randrange(3)):
            await pause(self.clock, chance.random() * 20)
            match chance.randrange(6):
                case 0:
                    await delivery.take(chance.randrange(3))
                case 1:
                    await delivery.wait_for_more(chance.randrange(20))
                case _:
                    pass
            self.tried[mark] += 1
            async with delivery.batch(settle=False) as step:
                step.threads.append(entry.mailbox_id, says(mark))
            self.acknowledged[mark] += 1
        await pause(self.clock, chance.random() * 20)
        outcome = chance.random()
        if outcome < 0.15:
            raise ValueError("at random")
        if outcome < 0.2:
            raise Reject("at random")
        if outcome < 0.7:
            self.tried[mark] += 1
            async with delivery.batch() as step:
                step.threads.append(entry.mailbox_id, says(mark))
                if chance.random() < 0.2:
                    step.mailboxes.send(f"m{chance.randrange(4)}", "more")
            self.acknowledged[mark] += 1


async def disturb(store: Store, chance: random.Random, clock: ManualClock) -> None:
    """Interrupt mailboxes, cancel entries, requeue dead letters, send more."""
    for _ in range(30):
        await pause(clock, chance.random() * 100)
        match chance.randrange(4):
            case 0:
                await store.mailboxes.interrupt(f"m{chance.randrange(4)}")
            case 1:
                page = await store.mailboxes.list_entries(status="claimed")
                for entry in page.items[:1]:
                    await store.mailboxes.cancel(entry.entry_id)
            case 2:
                page = await store.mailboxes.list_entries(status="dead_letter")
                for entry in page.items[:1]:
                    await store.mailboxes.requeue(entry.entry_id)
            case _:
                await store.mailboxes.send(f"m{chance.randrange(4)}", "sudden")


async def restart(worker: Worker, chance: random.Random, clock: ManualClock) -> None:
    """Run, be stopped or cancelled, run again."""
    for _ in range(4):
        task = asyncio.create_task(worker.run())
        await pause(clock, chance.random() * 800)
        if chance.random() < 0.5:
            worker.stop()
        else:
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def check_threads(store: Store, chaos: Chaos) -> None:
    """Check that acknowledged steps are stored, none twice, and none after the next claim's."""
    found: Counter[str] = Counter()
    for number in range(4):
        head = await store.threads.load(f"m{number}")
        assert head is not None
        assert head.version == len(head.thread.messages)
        marks = [str(message.content) for message in head.thread.messages]
        found.update(marks)
        stretches = [mark for mark, _ in groupby(marks)]
        assert len(stretches) == len(set(stretches))
    assert chaos.acknowledged <= found <= chaos.tried


@every_backend
@pytest.mark.parametrize("seed", range(2))
async def test_threads_hold_exactly_what_was_committed_whatever_happens(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker, seed: int
) -> None:
    await race(store, recorder, clock, new_worker, seed)


@pytest.mark.soak
@every_backend
@pytest.mark.parametrize("seed", range(2, 12))
async def test_threads_hold_exactly_what_was_committed_for_a_long_time(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker, seed: int
) -> None:
    await race(store, recorder, clock, new_worker, seed)


async def race(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker, seed: int
) -> None:
    """Let workers meet everything at random, and check what is left."""
    chance = random.Random(seed)
    chaos = Chaos(chance, clock)
    for number in range(4):
        await store.threads.create(Thread(id=f"m{number}"))
    for number in range(40):
        await store.mailboxes.send(f"m{number % 4}", number, priority=chance.randrange(3))
    workers = [
        new_worker(
            store,
            chaos,
            concurrency=2,
            coalesce=chance.choice([1, 1, 3]),
            lease_ms=300,
            grace_ms=chance.choice([0, 25, 250]),
            backoff=AT_ONCE,
            max_attempts=4,
        )
        for _ in range(3)
    ]
    async with passing_time(clock, lambda: store.mailboxes.ensure("m0")):
        async with asyncio.TaskGroup() as group:
            group.create_task(disturb(store, chance, clock))
            for worker in workers:
                group.create_task(restart(worker, chance, clock))
        await asyncio.gather(*map(until_idle, workers))
    await check_threads(store, chaos)
    stats = await store.mailboxes.count_entries()
    assert (stats.queued, stats.claimed) == (0, 0)
    check_events(recorder)


def check_events(recorder: Recorder) -> None:
    """Check that each claim has at most one start and exactly one end."""
    starts = Counter(event.entry.claim_token for event in recorder.of(Claimed))
    assert set(starts.values()) == {1}
    ends = Counter(event.entry.claim_token for kind in ENDS for event in recorder.of(kind))
    assert set(ends.values()) == {1}
    assert set(starts) <= set(ends)


async def test_workers_with_stores_of_their_own_share_a_folder(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path / "store", durability="relaxed") as store:
        sent = [await store.mailboxes.send(f"m{n % 5}", n) for n in range(40)]
        seen: Counter[str] = Counter()

        async def handler(delivery: Delivery) -> None:
            seen[delivery.entry.entry_id] += 1

        async def work() -> None:
            async with treadle.open_store(tmp_path / "store", durability="relaxed") as other:
                await until_idle(Worker(other, handler))

        await asyncio.gather(work(), work(), work())
        assert seen == Counter(each.entry.entry_id for each in sent)
        for each in sent:
            assert (await load(store, each.entry)).status == "accepted"
