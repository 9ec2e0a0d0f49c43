"""A folder that is only read, and that nobody writes to, is not read again for each call."""

import os
import shutil
from pathlib import Path

import pytest

from treadle import Message, Thread, open_store
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Disk
from treadle.store.store import Store
from treadle.testing.clock import ManualClock

ENTRIES = 40
LONG_AGO = 1_000_000_000


async def fill(folder: Path) -> None:
    async with open_store(folder) as store, store.batch() as step:
        for number in range(ENTRIES):
            step.mailboxes.send(f"box-{number}", number)
        step.threads.create(Thread(id="t"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that were read."""
    paths: list[str] = []
    read = Disk.read

    def note(disk: Disk, path: str) -> bytes:
        paths.append(path)
        return read(disk, path)

    monkeypatch.setattr(Disk, "read", note)
    return paths


def set_folder_times(folder: Path) -> None:
    """Let the folders look as if nobody had changed a name in them for long."""
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        os.utime(each, (LONG_AGO, LONG_AGO))


async def count_in_pages(store: Store) -> int:
    count, after = 0, None
    while True:
        page = await store.mailboxes.search_entries(after=after, limit=5)
        count += len(page.items)
        after = page.next_cursor
        if after is None:
            return count


@pytest.mark.parametrize("has_lock", [True, False])
async def test_pages_of_a_closed_folder_read_each_document_once(
    tmp_path: Path, reads: list[str], has_lock: bool
) -> None:
    await fill(tmp_path)
    if not has_lock:  # as tirea has left it
        for name in ("lock", "queue", "open"):
            (tmp_path / "_treadle" / name).unlink()
    set_folder_times(tmp_path)
    async with open_store(tmp_path, read_only=True) as store:
        reads.clear()
        assert await count_in_pages(store) == ENTRIES
        assert len([path for path in reads if "_mailbox" in path]) <= 2 * ENTRIES


async def test_a_folder_without_locks_that_was_changed_just_now_is_read_again(
    tmp_path: Path,
) -> None:
    await fill(tmp_path)
    for name in ("lock", "queue", "open"):
        (tmp_path / "_treadle" / name).unlink()
    async with open_store(tmp_path, read_only=True) as store:
        assert await store.threads.message_count("t") == 0
        text = (tmp_path / "t.json").read_text(encoding="utf-8")
        said = text.replace('"messages": []', '"messages": [{"role": "user", "content": "x"}]')
        (tmp_path / "new").write_text(said, encoding="utf-8")
        (tmp_path / "new").replace(tmp_path / "t.json")
        assert await store.threads.message_count("t") == 1


class FullDisk(Disk):
    """Takes journals, and no documents."""

    def write_atomically(self, path: str, *arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device", path)


async def test_what_a_dead_writer_committed_is_seen_after_others_have_come_and_gone(
    tmp_path: Path,
) -> None:
    """The last of them leaves the files, but for the hints, as the reader has seen them."""
    await fill(tmp_path)
    async with open_store(tmp_path):
        pass
    set_folder_times(tmp_path)
    async with open_store(tmp_path, read_only=True) as reader:
        assert await reader.threads.message_count("t") == 0
        dying = await Store(FilesBackend(tmp_path, ManualClock(), disk=FullDisk())).open()
        await dying.threads.append("t", Message.user("x"))
        with pytest.raises(Exception, match="No space left"):
            await dying.close()
        for _ in range(2):
            async with open_store(tmp_path):
                pass
        set_folder_times(tmp_path)
        assert await reader.threads.message_count("t") == 1


async def test_a_folder_without_locks_that_is_removed_has_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    await fill(folder)
    for name in ("lock", "queue", "open"):
        (folder / "_treadle" / name).unlink()
    async with open_store(folder, read_only=True) as store:
        assert await count_in_pages(store) == ENTRIES
        shutil.rmtree(folder)
        assert await count_in_pages(store) == 0
