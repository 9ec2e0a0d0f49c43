"""Mixed load drained by several processes: no entry is given out twice, none after its end."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from treadle import Store, open_store
from treadle.testing._harness.process_pool import start_process

PROCESSES = 3
BOXES = 12
ENTRIES = 150


def drain(url: str, folder: str, number: int) -> None:
    """Send, claim, and settle in all ways, until all is done; what was acked is written down."""
    asyncio.run(_drain(url, Path(folder), number))


async def _drain(url: str, folder: Path, number: int) -> None:
    draw = random.Random(number)
    acked: list[str] = []
    async with open_store(url) as store:
        callers = [_call(store, draw, number, caller, acked) for caller in range(4)]
        await asyncio.gather(*callers)
    (folder / f"acked-{number}").write_text("\n".join(acked))


async def _call(
    store: Store, draw: random.Random, number: int, caller: int, acked: list[str]
) -> None:
    for each in range(ENTRIES // 4):
        box = f"box {draw.randrange(BOXES)}"
        key = f"{number} {caller} {each}"
        await store.mailboxes.send(box, key, priority=draw.randrange(3), dedupe_key=key)
        await _claim_some(store, draw, acked)
    deadline = time.monotonic() + 60
    while await _claim_some(store, draw, acked) or (await store.mailboxes.count_entries()).queued:
        assert time.monotonic() < deadline, "it is not drained"
        await store.mailboxes.wait(20)


async def _claim_some(store: Store, draw: random.Random, acked: list[str]) -> bool:
    entries = await store.mailboxes.claim(limit=draw.randrange(1, 5), consumer="w", lease_ms=60_000)
    for entry in entries:
        if draw.random() < 0.2 and entry.attempt_count < 3:
            await store.mailboxes.nack(entry, retry_at=0, error="once more")
        elif draw.random() < 0.1:
            await store.mailboxes.dead_letter(entry, error="no")
        else:
            await store.mailboxes.ack(entry)
            acked.append(entry.entry_id)
    return bool(entries)


def check_a_drain(url: str, folder: Path) -> None:
    folder.mkdir()

    async def prepare() -> None:
        async with open_store(url, migrate=True):
            pass

    asyncio.run(prepare())
    processes = [start_process(drain, url, str(folder), number) for number in range(PROCESSES)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    acked = Counter(
        entry_id
        for number in range(PROCESSES)
        for entry_id in (folder / f"acked-{number}").read_text().split()
    )
    assert [entry_id for entry_id, times in acked.items() if times > 1] == []

    async def look() -> None:
        async with open_store(url) as store:
            stats = await store.mailboxes.count_entries()
            assert stats.accepted == len(acked)
            assert stats.accepted + stats.dead_letter == PROCESSES * (ENTRIES // 4) * 4
            assert (stats.queued, stats.claimed) == (0, 0)

    asyncio.run(look())


def test_no_entry_is_claimed_twice(url: str, tmp_path: Path) -> None:
    check_a_drain(url, tmp_path / "run")


@pytest.mark.soak
@pytest.mark.parametrize("run", range(100))
def test_no_entry_is_claimed_twice_in_a_hundred_runs(url: str, tmp_path: Path, run: int) -> None:
    check_a_drain(url, tmp_path / "run")
