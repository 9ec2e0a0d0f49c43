"""Handles on one folder know each other's runs when they end an entry."""

from pathlib import Path

import pytest

from treadle import open_store
from treadle.backends.files import _tables
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
