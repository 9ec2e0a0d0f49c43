"""A store that tirea wrote is opened, listed and continued."""

import shutil
from pathlib import Path

import pytest

import treadle

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "reference_store"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    if not GOLDEN.exists():
        pytest.skip("tirea's store is not on this machine")
    folder = tmp_path / "store"
    shutil.copytree(GOLDEN, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def read_threads(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.glob("*.json")}


async def test_saving_every_thread_unchanged_keeps_the_reference_s_form(golden: Path) -> None:
    before = read_threads(golden)
    async with treadle.open_store(golden) as store:
        page = await store.threads.list(limit=200)
        assert page.total == len(before) == 24
        for key in page.items:
            head = await store.threads.load(key)
            assert head is not None
            updated = head.thread.metadata.updated_at
            await store.threads.save(head.thread, now=updated)
    after = read_threads(golden)
    for path, data in before.items():
        old, new = data.split(b"\n", 2), after[path].split(b"\n", 2)
        version = int(old[1].split(b":")[1].rstrip(b","))
        assert new[1] == b'  "_version": %d,' % (version + 1)
        assert new[2] == old[2]


async def test_the_reference_s_entries_are_claimed_and_settled(golden: Path) -> None:
    async with treadle.open_store(golden) as store:
        before = await store.mailboxes.count_entries()
        entries = await store.mailboxes.claim(limit=5, consumer="test", lease_ms=1000)
        assert len(entries) == 5
        for entry in entries:
            await store.mailboxes.ack(entry)
        after = await store.mailboxes.count_entries()
    assert after.accepted == before.accepted + 5
    async with treadle.open_store(golden) as store:
        assert await store.mailboxes.count_entries() == after
