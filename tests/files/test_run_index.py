"""A folder's index of runs: those that an entry closes, and those of a thread."""

import errno
from pathlib import Path

import pytest

from treadle import StoreUnavailable, open_store
from treadle.backends.files import _tables
from treadle.backends.files.disk import Disk
from treadle.testing._harness.builders import entry, loaded_run, run


@pytest.mark.parametrize("rows", [0, 50_000])
async def test_runs_that_another_handle_has_written_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(_tables, "ROWS", rows)  # with none in memory, all are read again
    async with open_store(tmp_path / "store") as one, open_store(tmp_path / "store") as other:
        for name in ("first", "new", "moved", "done", "left"):
            await one.mailboxes.enqueue(entry(name, name, closes_runs=True))
        for name in ("first", "moved", "done", "left"):
            await one.runs.upsert(run(name, status="running", source_mailbox_entry_id=name))
        await one.mailboxes.interrupt("first")  # from now on it knows all runs
        await other.runs.upsert(run("new", status="waiting", source_mailbox_entry_id="new"))
        await other.runs.upsert(run("moved", status="running", source_mailbox_entry_id="new"))
        await other.runs.upsert(run("done", status="done", source_mailbox_entry_id="done"))
        await other.runs.delete("left")
        for name in ("new", "moved", "done", "left"):
            await one.mailboxes.cancel(name)
        codes = {
            name: (await loaded_run(one, name)).termination_code
            for name in ("first", "new", "moved", "done")
        }
        assert codes == {
            "first": "superseded",
            "new": "cancelled",
            "moved": "cancelled",
            "done": None,
        }
        assert await one.runs.load("left") is None


async def test_a_run_that_cannot_be_read_keeps_nobody_from_ending_an_entry(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    async with open_store(folder) as store:
        await store.mailboxes.enqueue(entry("e", closes_runs=True))
        for name in ("whole", "torn"):
            await store.runs.upsert(run(name, status="waiting", source_mailbox_entry_id="e"))
    (folder / "_runs" / "torn.json").write_text("{", encoding="utf-8")
    async with open_store(folder) as store:
        await store.mailboxes.interrupt("box")
        assert (await loaded_run(store, "whole")).status == "done"


async def test_an_error_while_all_runs_are_read_hides_none_from_later_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path) as store:
        await store.mailboxes.enqueue(entry("e", closes_runs=True))
        for number in range(9):
            waiting = run(f"r{number}", status="waiting", source_mailbox_entry_id="e")
            await store.runs.upsert(waiting)
    read, count = Disk.read, 0

    def refuse_once(disk: Disk, path: str) -> bytes:
        nonlocal count
        count += "_runs" in path
        if count == 5:
            count += 1
            raise OSError(errno.EMFILE, "Too many open files", path)
        return read(disk, path)

    async with open_store(tmp_path) as store:
        monkeypatch.setattr(Disk, "read", refuse_once)
        with pytest.raises(StoreUnavailable, match="Too many open files"):
            await store.mailboxes.cancel("e")
        await store.mailboxes.cancel("e")
        assert (await store.runs.count()).done == 9


async def test_runs_of_a_thread_are_found_without_a_look_at_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tables, "ROWS", 0)
    async with open_store(tmp_path) as store:
        for number in range(30):
            await store.runs.upsert(run(f"r{number}", thread_id=f"t{number % 10}"))
        await store.runs.find_active("t1")
        paths: list[str] = []
        read = Disk.read

        def note(disk: Disk, path: str) -> bytes:
            paths.append(path)
            return read(disk, path)

        monkeypatch.setattr(Disk, "read", note)
        assert await store.runs.find_active("t1") is not None
        assert len((await store.runs.search(thread_id="t2")).items) == 3
        assert (await store.runs.list(thread_id="t3")).total == 3
        assert (await store.runs.count(thread_id="t4")).running == 3
        assert len(paths) == 4 * 3


async def test_the_runs_of_a_thread_are_those_that_other_handles_have_left_there(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        for name in ("stays", "moves", "goes"):
            await one.runs.upsert(run(name, thread_id="t"))
        assert (await one.runs.list(thread_id="t")).total == 3
        await other.runs.upsert(run("moves", thread_id="elsewhere"))
        await other.runs.upsert(run("new", thread_id="t"))
        await other.runs.delete("goes")
        found = (await one.runs.list(thread_id="t")).items
        assert sorted(each.run_id for each in found) == ["new", "stays"]
        assert (await one.runs.list(thread_id="elsewhere")).total == 1


async def test_a_run_that_somebody_repairs_is_found_and_closed_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.mailboxes.enqueue(entry("e", "elsewhere", closes_runs=True))
        waiting = run("r", thread_id="t", status="waiting", source_mailbox_entry_id="e")
        await store.runs.upsert(waiting)
    path = tmp_path / "_runs" / "r.json"
    whole = path.read_bytes()
    path.write_bytes(b"{")
    async with open_store(tmp_path) as store:
        assert await store.runs.find_active("t") is None
        await store.mailboxes.interrupt("box")  # it knows all runs from now on
        path.write_bytes(whole)
        assert await store.runs.find_active("t") is not None
        await store.mailboxes.cancel("e")
        assert (await loaded_run(store, "r")).status == "done"
