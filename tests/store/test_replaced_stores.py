"""A store that is removed or replaced while it is open acknowledges nothing any longer."""

import asyncio
import multiprocessing
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from treadle import Store, StoreUnavailable, Thread, open_store
from treadle.backends.sqlite import _connection, backend
from treadle.backends.sqlite.backup import snapshot

Change = Callable[[Path], object]


def _restore_folder(folder: Path) -> None:
    folder.rename(folder.with_name("moved away"))
    shutil.copytree(folder.with_name("backup"), folder)


def _remove_journal(folder: Path) -> None:
    (journal,) = (folder / "_treadle").glob("journal-*")
    journal.unlink()


def _replace_own_folder(folder: Path) -> None:
    shutil.rmtree(folder / "_treadle")
    shutil.copytree(folder.with_name("backup") / "_treadle", folder / "_treadle")


def _remove_database(path: Path) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm"):
        os.remove(name)


def _restore_database(path: Path) -> None:
    _remove_database(path)
    shutil.copy(path.with_name("backup"), path)


CHANGES: dict[str, tuple[str, Change]] = {
    "folder removed": ("files", shutil.rmtree),
    "folder moved": ("files", lambda folder: folder.rename(folder.with_name("elsewhere"))),
    "folder restored": ("files", _restore_folder),
    "_treadle removed": ("files", lambda folder: shutil.rmtree(folder / "_treadle")),
    "_treadle replaced": ("files", _replace_own_folder),
    "journal removed": ("files", _remove_journal),
    "database removed": ("sqlite", _remove_database),
    "database restored": ("sqlite", _restore_database),
    "backup renamed over the database": (
        "sqlite",
        lambda path: os.replace(path.with_name("backup"), path),
    ),
    "log removed": ("sqlite", lambda path: os.remove(f"{path}-wal")),
    "shared memory removed": ("sqlite", lambda path: os.remove(f"{path}-shm")),
}
each_change = pytest.mark.parametrize(("kind", "change"), CHANGES.values(), ids=CHANGES)


def _url(kind: str, path: Path) -> str:
    return f"sqlite:///{path}" if kind == "sqlite" else str(path)


async def _backed_up(url: str, path: Path) -> Store:
    """An open store with one thread, beside a backup of it."""
    async with open_store(url) as store:
        await store.threads.create(Thread(id="old"))
    _back_up(path)
    return await open_store(url).open()


def _back_up(path: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, path.with_name("backup"))
    else:
        with snapshot(path) as found:
            found.copy_to(path.with_name("backup"), lambda pages: None)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.name.startswith("journal-")}


lost = partial(pytest.raises, StoreUnavailable, match=r"was removed or replaced .*; open it again")


@each_change
@pytest.mark.parametrize("has_read", [True, False], ids=["readers", "no readers"])
async def test_every_call_is_refused(
    tmp_path: Path, kind: str, change: Change, *, has_read: bool
) -> None:
    path = tmp_path / "store"
    store = await _backed_up(_url(kind, path), path)
    await store.threads.create(Thread(id="acknowledged"))
    if has_read:
        await store.threads.list()
    waiting = asyncio.ensure_future(store.mailboxes.wait(60_000))
    await asyncio.sleep(0.05)
    change(path)
    files = _files(tmp_path)
    for call in (
        store.threads.create(Thread(id="new")),
        store.threads.list(),
        store.mailboxes.claim(consumer="w"),
        store.mailboxes.wait(10),
        waiting,
    ):
        with lost():
            await asyncio.wait_for(call, 10)
    with lost():
        await asyncio.wait_for(store.close(), 10)
    await store.close()
    assert _files(tmp_path) <= files  # nothing was created, such as an empty database


@pytest.mark.parametrize("name", [name for name, (kind, _) in CHANGES.items() if kind == "sqlite"])
@pytest.mark.parametrize(
    ("call", "module", "step"),
    [
        ("read", _connection, "check_files"),
        ("read", _connection, "_set_up"),
        ("erase", _connection, "check_files"),
        ("erase", _connection, "_set_up"),
        ("erase", backend, "empty_log"),
    ],
)
async def test_files_that_are_replaced_while_they_are_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    module: ModuleType,
    step: str,
    name: str,
) -> None:
    """SQLite opens three files one after the other, and says "disk I/O error" if one is gone."""
    path = tmp_path / "store"
    store = await _backed_up(_url("sqlite", path), path)
    await store.threads.create(Thread(id="acknowledged"))
    _, change = CHANGES[name]
    original = getattr(module, step)
    have_changed: list[Path] = []

    def step_of_opening(*given: Any) -> Any:
        if not have_changed:
            have_changed.append(path)
            change(path)
        return original(*given)

    monkeypatch.setattr(module, step, step_of_opening)
    with lost():
        await (store.threads.list() if call == "read" else store.erase("nobody"))
    assert have_changed
    with lost():
        await store.close()


def _append(url: str, count: int) -> None:
    async def append() -> None:
        async with open_store(url) as store:
            for number in range(count):
                await store.threads.create(Thread(id=f"new-{number:02}"))
            os._exit(0)  # what it wrote is in the log, or the journal

    asyncio.run(append())


@pytest.mark.parametrize(
    ("kind", "change"),
    [("files", _restore_folder), ("files", _replace_own_folder), ("sqlite", _restore_database)],
    ids=["folder restored", "_treadle replaced", "database restored"],
)
async def test_the_next_process_loses_nothing(tmp_path: Path, kind: str, change: Change) -> None:
    path = tmp_path / "store"
    url = _url(kind, path)
    store = await _backed_up(url, path)
    await store.threads.list()
    change(path)
    async with open_store(url) as other:
        await other.threads.create(Thread(id="kept"))
        process = multiprocessing.get_context("spawn").Process(target=_append, args=(url, 20))
        process.start()
        for _ in range(20):
            with lost():
                await store.threads.create(Thread(id="never"))
            await asyncio.sleep(0)
        await asyncio.to_thread(process.join, 30)
        assert process.exitcode == 0
        with lost():
            await store.close()
        await other.threads.create(Thread(id="kept too"))
    async with open_store(url) as other:
        found = (await other.threads.list()).items
    assert found == ("kept", "kept too", *(f"new-{number:02}" for number in range(20)), "old")
