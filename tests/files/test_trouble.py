"""A failing disk, and other programs that write to the folder."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import treadle
from treadle import (
    CorruptRecord,
    SchemaTooNew,
    StoreUnavailable,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    encode,
)
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Bytes, Disk
from treadle.store.store import Store


class RefusingDisk(Disk):
    """Refuses the next request of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: str | None = None
        self.cuts_fail = False
        self.error: Exception = OSError(errno.ENOSPC, "no space left on device")

    def _refuse(self, request: str) -> None:
        if self.refused == request:
            self.refused = None
            raise self.error

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        if self.refused == "write_log":
            super().write_log(log, start, bytes(data)[: len(data) // 2])  # as a full disk does
        self._refuse("write_log")
        super().write_log(log, start, data)

    def sync_log(self, log: int) -> None:
        super().sync_log(log)
        self._refuse("sync_log")

    def cut_log(self, log: int, size: int) -> None:
        if self.cuts_fail:
            raise self.error
        super().cut_log(log, size)

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        self._refuse("write_atomically")
        super().write_atomically(path, parts, temp_folder, sync=sync)


def opened(folder: Path, disk: Disk) -> Store:
    return Store(FilesBackend(folder, disk=disk))


@pytest.mark.parametrize("refused_request", ["write_log", "sync_log"])
async def test_a_commit_that_the_journal_refused_leaves_nothing(
    tmp_path: Path, refused_request: str
) -> None:
    disk = RefusingDisk()
    async with opened(tmp_path, disk) as store:
        await store.threads.create(Thread(id="t"))
        disk.refused = refused_request
        with pytest.raises(StoreUnavailable, match="no space left") as refused:
            await store.threads.append("t", ThreadChangeSet())
        assert isinstance(refused.value.__cause__, OSError)
        head = await store.threads.load("t")
        assert head is not None
        assert head.version == 0
        assert (await store.threads.append("t", ThreadChangeSet(), expected=0)).version == 1
    async with treadle.open_store(tmp_path) as store:
        head = await store.threads.load("t")
        assert head is not None
        assert head.version == 1


async def test_a_commit_that_was_neither_completed_nor_taken_back_is_not_reported_as_refused(
    tmp_path: Path,
) -> None:
    """The sync and the truncation fail: the outcome is unknown until the store opens again."""
    disk = RefusingDisk()
    async with opened(tmp_path, disk) as store:
        await store.threads.create(Thread(id="t"))
        disk.refused = "sync_log"
        disk.cuts_fail = True
        with pytest.raises(StoreUnavailable, match="to see whether the write was committed"):
            await store.threads.append("t", ThreadChangeSet())
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="close the store and open it again"):
                await store.threads.load("t")
        with pytest.raises(StoreUnavailable, match="close the store and open it again"):
            await store.threads.append("t", ThreadChangeSet())
        disk.cuts_fail = False
    async with treadle.open_store(tmp_path) as store:
        head = await store.threads.load("t")
        assert head is not None
        assert (await store.threads.append("t", ThreadChangeSet())).version == head.version + 1


class UnreadableDisk(Disk):
    """Refuses to read some files."""

    def __init__(self, *names: str, number: int = errno.EIO) -> None:
        super().__init__()
        self.names = names
        self.number = number

    def read(self, path: str) -> bytes:
        if Path(path).stem in self.names:
            raise OSError(self.number, os.strerror(self.number), path)
        return super().read(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
async def test_a_document_that_the_disk_refuses_to_read_hurts_only_itself(
    tmp_path: Path, number: int
) -> None:
    async with treadle.open_store(tmp_path) as store:
        first = (await store.mailboxes.send("box", 1, dedupe_key="k")).entry
        await store.mailboxes.send("box", 2)
        await store.mailboxes.ensure("bad")
        await store.threads.create(Thread(id="t"))
        await store.runs.upsert(treadle.RunRecord(run_id="r", thread_id="t"))
    disk = UnreadableDisk(first.entry_id, "bad", "t", "r", number=number)
    async with opened(tmp_path, disk) as store:
        [claimed] = await store.mailboxes.claim(9, consumer="w")
        assert claimed.payload == 2
        assert (await store.mailboxes.count_entries()).claimed == 1
        assert (await store.mailboxes.send("box", 3, dedupe_key="k")).entry.payload == 3
        assert [state.mailbox_id for state in (await store.mailboxes.list()).items] == ["box"]
        assert (await store.runs.list()).items == ()
        assert await store.runs.find_active("t") is None
        assert (await store.threads.list(resource_id="x")).items == ()
        for load in (
            store.mailboxes.load_entry(first.entry_id),
            store.mailboxes.load("bad"),
            store.threads.load("t"),
            store.runs.load("r"),
        ):
            with pytest.raises(CorruptRecord, match=os.strerror(number)):
                await load


async def test_a_store_that_has_no_descriptors_left_does_not_take_its_files_for_damaged(
    tmp_path: Path,
) -> None:
    async with treadle.open_store(tmp_path) as store:
        sent = (await store.mailboxes.send("box", 1)).entry
    disk = UnreadableDisk(sent.entry_id, number=errno.EMFILE)
    async with opened(tmp_path, disk) as store:
        with pytest.raises(StoreUnavailable):
            await store.mailboxes.claim(consumer="w")
        disk.names = ()
        assert len(await store.mailboxes.claim(consumer="w")) == 1


async def test_a_commit_succeeds_although_its_document_cannot_be_written(tmp_path: Path) -> None:
    disk = RefusingDisk()
    async with opened(tmp_path, disk) as store:
        await store.threads.create(Thread(id="t"))
        disk.refused = "write_atomically"
        assert (await store.threads.append("t", ThreadChangeSet())).version == 1
        assert json.loads((tmp_path / "t.json").read_bytes())["_version"] == 0
        head = await store.threads.load("t")  # the next call writes the file
        assert head is not None
        assert head.version == 1
        assert json.loads((tmp_path / "t.json").read_bytes())["_version"] == 1


async def test_an_unexpected_error_reaches_the_caller_and_the_store_goes_on(
    tmp_path: Path,
) -> None:
    disk = RefusingDisk()
    disk.error = RuntimeError("a mistake of ours")
    async with opened(tmp_path, disk) as store:
        await store.threads.create(Thread(id="t"))
        disk.refused = "sync_log"
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            await asyncio.wait_for(store.threads.append("t", ThreadChangeSet()), 10)
        assert (await store.threads.append("t", ThreadChangeSet())).version == 1


async def test_a_failing_command_does_not_affect_others_in_its_group(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        appends = [
            store.threads.append("t" if number % 3 else "none", ThreadChangeSet())
            for number in range(30)
        ]
        results = await asyncio.gather(*appends, return_exceptions=True)
        assert sum(isinstance(result, treadle.NotFound) for result in results) == 10
        head = await store.threads.load("t")
        assert head is not None
        assert head.version == 20


class PausingDisk(Disk):
    """Pauses at each request of a kind until it may go on."""

    def __init__(self, request: str) -> None:
        super().__init__()
        self._request = request
        self.reached = threading.Event()
        self.resume = threading.Event()

    def _pause(self, request: str) -> None:
        if request == self._request:
            self.reached.set()
            assert self.resume.wait(10)

    def list_all(self, folder: str) -> list[str]:
        self._pause("list_all")
        return super().list_all(folder)

    def open_log(self, path: str) -> int:
        self._pause("open_log")
        return super().open_log(path)

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        self._pause("write_atomically")
        super().write_atomically(path, parts, temp_folder, sync=sync)


@pytest.mark.parametrize("paused_request", ["list_all", "open_log", "write_atomically"])
async def test_a_cancelled_open_leaves_the_store_closed(
    tmp_path: Path, paused_request: str
) -> None:
    disk = PausingDisk(paused_request)
    opening = asyncio.ensure_future(opened(tmp_path, disk).open())
    assert await asyncio.to_thread(disk.reached.wait, 10)
    opening.cancel()
    disk.resume.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with treadle.open_store(tmp_path) as store:
        await store.threads.save(Thread(id="t"))
    # Only the last handle removes the journals: none is left, so the cancelled one is closed.
    assert not list((tmp_path / "_treadle").glob("journal-*"))


CRASH = """
import asyncio, os, sys, treadle
async def main():
    async with treadle.open_store(sys.argv[1]) as store:
        await store.threads.create(treadle.Thread(id="t"))
        await store.threads.append("t", treadle.ThreadChangeSet())
        os._exit(0)
asyncio.run(main())
"""


def crash(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(folder)], check=True, timeout=60)


async def test_recovery_keeps_a_newer_version_that_another_program_wrote(tmp_path: Path) -> None:
    crash(tmp_path)
    path = tmp_path / "t.json"
    path.write_bytes(path.read_bytes().replace(b'"_version": 1', b'"_version": 2'))
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.append("t", ThreadChangeSet(), expected=2)).version == 3


async def test_changes_by_hand_are_seen_at_the_next_opening(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        await store.mailboxes.send("m", {"text": "before"})
    [entry] = (tmp_path / "_mailbox").iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"before", b"after"))
    (tmp_path / "u.json").write_bytes((tmp_path / "t.json").read_bytes().replace(b'"t"', b'"u"'))
    (tmp_path / "t.json").unlink()
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.list()).items == ("u",)
        [claimed] = await store.mailboxes.claim(consumer="w")
        assert claimed.payload == {"text": "after"}


async def test_the_deltas_of_a_thread_that_another_program_wrote_are_unknown(
    tmp_path: Path,
) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for _ in range(2):
            await store.threads.append("t", ThreadChangeSet(actions=("ours",)))
        assert await store.threads.list_deltas("t", 0) is not None
    theirs = Thread(id="t", state="theirs", metadata=ThreadMetadata(created_at=1, updated_at=2))
    document = encode(theirs, pretty=True).replace(
        b"{", b'{"_version": 2,', 1
    )  # the same version by chance
    (tmp_path / "t.json").write_bytes(document)
    async with treadle.open_store(tmp_path) as store:
        assert await store.threads.list_deltas("t", 0) is None
        assert await store.threads.list_deltas("t", 2) == ()


async def test_a_file_that_another_program_creates_in_an_open_store_is_not_overwritten(
    tmp_path: Path,
) -> None:
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.list()).items == ()
        (tmp_path / "t.json").write_text("theirs")
        (tmp_path / "u.json").mkdir()
        for taken in ("t", "u"):
            with pytest.raises(CorruptRecord, match="another program has put it there"):
                await store.threads.create(Thread(id=taken))
    assert (tmp_path / "t.json").read_text() == "theirs"


async def test_a_file_whose_name_is_not_an_id_is_ignored(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for name in ("CON.json", "a..b.json", "notes.txt"):
            (tmp_path / name).write_bytes((tmp_path / "t.json").read_bytes())
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.list()).items == ("t",)


async def test_a_folder_that_a_newer_treadle_wrote_is_refused(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path):
        pass
    form = tmp_path / "_treadle" / "format.json"
    form.write_text('{"format": 2}')
    with pytest.raises(SchemaTooNew) as refused:
        await treadle.open_store(tmp_path).open()
    assert (refused.value.found, refused.value.supported) == (2, 1)
    form.write_text("{")
    with pytest.raises(CorruptRecord, match=r"format\.json"):
        await treadle.open_store(tmp_path).open()
