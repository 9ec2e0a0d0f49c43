"""Closing releases everything, and so does opening that fails, whichever request is refused."""

import asyncio
import errno
import gc
import inspect
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import treadle
from treadle import StoreUnavailable, Thread
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Disk
from treadle.store.store import Store

_REQUESTS = [
    name for name, _ in inspect.getmembers(Disk, inspect.isfunction) if not name.startswith("_")
]


class FailingDisk(Disk):
    """Counts its requests and fails one of them; a file is closed before that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.failing: int | None = None
        self.failing_to_clean_up = False
        for name in _REQUESTS:
            setattr(self, name, partial(self._request, name, getattr(self, name)))

    def _request(self, name: str, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if name == "close_log":
            method(*args)
        self.requests += 1
        if self.requests == self.failing:
            raise OSError(errno.EIO, "input/output error")
        if name == "remove_temp_files" and self.failing_to_clean_up:
            raise OSError(errno.EROFS, "read-only file system")
        return None if name == "close_log" else method(*args, **options)


def _held() -> tuple[int, int]:
    """How many descriptors and threads of stores there are."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("treadle")]
    return len(os.listdir("/proc/self/fd")), len(ours)


async def _check_that_it_is_free(folder: Path, threads: tuple[str, ...]) -> None:
    async with asyncio.timeout(20), treadle.open_store(folder) as store:
        assert (await store.threads.list()).items == threads


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors in /proc")
async def test_whatever_fails_while_it_closes_the_folder_is_free(tmp_path: Path) -> None:
    await _check_that_it_is_free(tmp_path, ())
    gc.collect()  # of the tests before this one
    before, failed = _held(), 0
    for number in range(1, 100):
        disk = FailingDisk()
        store = await Store(FilesBackend(tmp_path, disk=disk)).open()
        await store.threads.save(Thread(id="t"))
        disk.failing = disk.requests + number
        try:
            await store.close()
        except StoreUnavailable as error:
            assert "input/output error" in str(error)
            failed += 1
        await store.close()
        assert _held() == before
        await _check_that_it_is_free(tmp_path, ("t",))
        if disk.requests < disk.failing:
            break
    assert failed > 10


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="it counts descriptors in /proc")
async def test_whatever_fails_while_it_opens_the_folder_is_free(tmp_path: Path) -> None:
    await _check_that_it_is_free(tmp_path / "first", ())
    gc.collect()  # of the tests before this one
    before, failed = _held(), 0
    for number in range(1, 100):
        disk, folder = FailingDisk(), tmp_path / str(number)
        disk.failing = number
        try:
            store = await Store(FilesBackend(folder, disk=disk)).open()
        except StoreUnavailable as error:
            assert "input/output error" in str(error)
            failed += 1
        else:
            disk.failing = None
            await store.close()
        assert _held() == before
        await _check_that_it_is_free(folder, ())
        if disk.failing is None:
            break
    assert failed > 10


async def test_a_folder_without_one_of_its_folders_is_free_after_closing(tmp_path: Path) -> None:
    store = await treadle.open_store(tmp_path).open()
    (tmp_path / "_runs").rmdir()
    with pytest.raises(StoreUnavailable, match="_runs"):
        await store.close()
    await _check_that_it_is_free(tmp_path, ())


async def test_two_failures_are_both_reported(tmp_path: Path) -> None:
    disk = FailingDisk()
    store = await Store(FilesBackend(tmp_path, disk=disk)).open()
    (tmp_path / "_runs").rmdir()
    disk.failing_to_clean_up = True
    with pytest.raises(StoreUnavailable, match="_runs") as caught:
        await store.close()
    assert "read-only file system" in str(getattr(caught.value.__cause__, "__notes__", ""))
