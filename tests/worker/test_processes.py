"""Worker processes that share a folder: killed or stopped, nothing is lost or done twice."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from tests.worker.support import texts

import treadle
from treadle import Store, Thread

ROOT = Path(__file__).parents[2]


SOON_MS = 600
"""The lease of a worker that is killed, so that others need not wait for long."""


async def spawn(
    folder: Path | str,
    name: str,
    pause_ms: int = 3,
    takes: int = 1,
    lease_ms: int = 60_000,
    prefix: str = "",
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.worker.process",
        str(folder),
        name,
        str(pause_ms),
        str(takes),
        str(lease_ms),
        prefix,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def read_claims(process: asyncio.subprocess.Process, count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        line = await process.stdout.readline()
        if not line.startswith(b"claimed"):
            _, errors = await process.communicate()
            pytest.fail(f"the worker said {line!r}\n{errors.decode()}")


async def finish(process: asyncio.subprocess.Process) -> None:
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.rstrip().endswith(b"ended")
    assert errors == b""


async def fill(store: Store, mailboxes: int, each: int) -> None:
    for mailbox in range(mailboxes):
        await store.threads.create(Thread(id=f"m{mailbox}"))
        async with store.batch() as step:
            for number in range(each):
                step.mailboxes.send(f"m{mailbox}", number)


async def check_done(folder: Path, mailboxes: int, each: int) -> None:
    async with treadle.open_store(folder) as store:
        stats = await store.mailboxes.count_entries()
        assert stats.accepted == mailboxes * each
        assert stats.queued + stats.claimed + stats.dead_letter == 0
        for mailbox in range(mailboxes):
            found = await texts(store, f"m{mailbox}")
            assert sorted(found, key=int) == [str(number) for number in range(each)]


@pytest.mark.parametrize(("pause_ms", "killed_after"), [(60_000, 4), (40, 9)])
async def test_killing_a_worker_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, pause_ms: int, killed_after: int
) -> None:
    """It is killed in its first entries, while another one works, or after it has done some."""
    folder = tmp_path / "store"
    async with treadle.open_store(folder) as store:
        await fill(store, mailboxes=6, each=8)
    async with asyncio.timeout(60):
        victim = await spawn(folder, "victim", pause_ms, lease_ms=SOON_MS)
        await read_claims(victim, killed_after)
        survivor = await spawn(folder, "survivor")
        if killed_after <= 4:
            await read_claims(survivor, 1)
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
        assert victim.returncode == -signal.SIGKILL
        await finish(survivor)
    await check_done(folder, mailboxes=6, each=8)


@pytest.mark.parametrize("killed_after", [1, 5])
async def test_killing_a_worker_that_has_taken_more_keeps_the_order(
    tmp_path: Path, killed_after: int
) -> None:
    """What it has taken comes again, in its order, and each message is in the thread once."""
    folder = tmp_path / "store"
    async with treadle.open_store(folder) as store:
        await fill(store, mailboxes=2, each=12)
    async with asyncio.timeout(60):
        pause_ms = 60_000 if killed_after == 1 else 40
        victim = await spawn(folder, "victim", pause_ms, takes=3, lease_ms=SOON_MS)
        await read_claims(victim, killed_after)
        await asyncio.sleep(0.02)  # it may have taken more, or have settled it
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
        survivor = await spawn(folder, "survivor", takes=2)
        await finish(survivor)
    await check_done(folder, mailboxes=2, each=12)
    async with treadle.open_store(folder) as store:
        for mailbox in ("m0", "m1"):
            assert await texts(store, mailbox) == [str(number) for number in range(12)]


async def test_a_terminated_worker_releases_its_entries(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    async with treadle.open_store(folder) as store:
        await fill(store, mailboxes=3, each=1)
    async with asyncio.timeout(30):
        process = await spawn(folder, "stopped", pause_ms=60_000)
        await read_claims(process, 3)
        process.send_signal(signal.SIGTERM)
        await finish(process)
    async with treadle.open_store(folder) as store:
        page = await store.mailboxes.list_entries()
    assert [(e.status, e.attempt_count) for e in page.items] == [("queued", 0)] * 3


@pytest.mark.parametrize("scheme", ["", "sqlite:///"])
async def test_two_programs_share_a_store_and_one_is_killed(tmp_path: Path, scheme: str) -> None:
    """Neither gets what is the other's, not even what a dead process of the other has held."""
    url = f"{scheme}{tmp_path / 'store'}"
    async with treadle.open_store(url) as store:
        for prefix in ("mail-", "report-"):
            for number in range(12):
                name = f"{prefix}{number}"
                await store.threads.create(Thread(id=name))
                await store.mailboxes.send(name, number, entry_id=name)
    async with asyncio.timeout(60):
        victim = await spawn(url, "victim", 60_000, lease_ms=SOON_MS, prefix="mail-")
        await read_claims(victim, 4)
        reports = await spawn(url, "reports", 20, prefix="report-")
        await read_claims(reports, 1)
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
        output, _ = await reports.communicate()
        assert len(output.split(b"claimed report-")) == 12
        assert b"mail" not in output
        async with treadle.open_store(url) as store:
            stats = await store.mailboxes.count_entries()
            assert (stats.accepted, stats.queued, stats.claimed) == (12, 8, 4)
        mails = await spawn(url, "mails", prefix="mail-")
        output, _ = await mails.communicate()
        assert b"report" not in output
    async with treadle.open_store(url) as store:
        assert (await store.mailboxes.count_entries()).accepted == 24
        for number in range(12):
            for prefix in ("mail-", "report-"):
                assert await texts(store, f"{prefix}{number}") == [str(number)]
