"""Many processes answer conversations: each in its order, nothing lost, doubled or worked by two.

Workers fail, pause mailboxes, take more and are interrupted. They are killed, or stopped for longer
than their leases.
"""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from tests.worker.conversation_process import LEASE_MS
from tests.worker.support import texts

import treadle
from treadle import MailboxStats, Store, Thread

ROOT = Path(__file__).parents[2]
MAILBOXES = tuple(f"m{number}" for number in range(6))
on_shared_stores = pytest.mark.parametrize(
    "store_url", ["files", "sqlite", "postgres"], indirect=True
)


class Workers:
    """Worker processes of which one after the other is stopped or killed."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._url = url
        self._chance = chance
        self._processes: list[asyncio.subprocess.Process] = []
        self._count = 0

    async def start(self) -> None:
        """Start one more."""
        self._count += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.worker.conversation_process",
            self._url,
            str(self._count),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"

    async def disturb(self, seconds: float) -> None:
        """Stop one for longer than its leases, or kill it and start another, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self._chance.random() / 2)
            victim = self._chance.choice(self._processes)
            if self._chance.random() < 0.7:
                victim.send_signal(signal.SIGSTOP)
                await asyncio.sleep((0.5 + self._chance.random()) * LEASE_MS / 500)
                victim.send_signal(signal.SIGCONT)
            else:
                self._processes.remove(victim)
                victim.kill()
                await victim.communicate()
                await self.start()

    async def end(self) -> None:
        """Stop all of them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            await process.communicate()
            assert process.returncode == 0


async def converse(store: Store, chance: random.Random, seconds: float) -> dict[str, list[str]]:
    """Send, and interrupt now and then. Returns what was to be worked, by mailbox."""
    wanted: dict[str, list[str]] = {mailbox: [] for mailbox in MAILBOXES}
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        mailbox = chance.choice(MAILBOXES)
        for _ in range(chance.choice([1, 1, 4])):
            number += 1
            await store.mailboxes.send(mailbox, number)
            wanted[mailbox].append(str(number))
        if chance.random() < 0.05:
            ended = (await store.mailboxes.interrupt(mailbox)).superseded_entries
            gone = {str(entry.payload) for entry in ended}
            wanted[mailbox] = [each for each in wanted[mailbox] if each not in gone]
        await asyncio.sleep(chance.random() / 20)
    return wanted


def differences(found: list[str], wanted: list[str]) -> dict[str, list[str]]:
    """What was lost, came in vain or more than once, or came too late, if there is any of it."""
    late = [after for before, after in pairwise(found) if int(after) <= int(before)]
    wrong = {
        "lost": [each for each in wanted if each not in found],
        "in vain": [each for each in found if each not in wanted],
        "more than once": [each for each, count in Counter(found).items() if count > 1],
        "too late": late,
    }
    return {name: those for name, those in wrong.items() if those}


async def until_all_is_done(store: Store) -> MailboxStats:
    """Return the counts once nothing is queued or claimed, in any process."""
    async with asyncio.timeout(60):
        async for _ in store.changes():
            stats = await store.mailboxes.count_entries()
            if stats.queued + stats.claimed == 0:
                return stats
    raise AssertionError("the store was closed")


async def hunt(url: str, processes: int, seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    workers = Workers(url, chance)
    async with treadle.open_store(url) as store:
        for mailbox in MAILBOXES:
            await store.threads.create(Thread(id=mailbox))
        for _ in range(processes):
            await workers.start()
        disturbing = asyncio.create_task(workers.disturb(seconds))
        wanted = await converse(store, chance, seconds)
        await disturbing
        stats = await until_all_is_done(store)
        await workers.end()
        found = {mailbox: await texts(store, mailbox) for mailbox in MAILBOXES}
    wrong = {key: differences(found[key], wanted[key]) for key in MAILBOXES}
    assert not any(wrong.values()), wrong
    assert stats.dead_letter == stats.cancelled == 0


@on_shared_stores
async def test_conversations_are_answered_in_their_order_whatever_happens(store_url: str) -> None:
    await hunt(store_url, processes=3, seconds=3, seed=1)


@pytest.mark.soak
@on_shared_stores
async def test_conversations_are_answered_in_their_order_for_a_long_time(store_url: str) -> None:
    await hunt(store_url, processes=8, seconds=60, seed=2)
