"""A damaged file affects only itself; it is reported, and moved only when asked."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import treadle
from treadle import CorruptRecord, Message, RunRecord, StoreUnavailable, Thread, ThreadChangeSet
from treadle.backends.files.doctor import examine, move_aside


async def fill(folder: Path) -> None:
    async with treadle.open_store(folder) as store:
        for key in ("a", "b"):
            await store.threads.create(Thread(id=key, resource_id="owner"))
            await store.runs.upsert(RunRecord(run_id=key, thread_id=key))
            await store.mailboxes.send(key, 1, dedupe_key=key)


def link(path: Path) -> None:
    """Replace the document by a link to it."""
    elsewhere = path.with_suffix(".elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "not JSON": lambda path: path.write_bytes(b"\xff\xfe"),
    "another type": lambda path: path.write_bytes(b"[1]"),
    "another's": lambda path: path.write_bytes(path.read_bytes().replace(b'"a"', b'"z"')),
    "a link": link,
}
each_damage = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


@each_damage
async def test_a_damaged_thread_affects_only_itself(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    await fill(tmp_path)
    damage(tmp_path / "a.json")
    async with treadle.open_store(tmp_path) as store:
        with pytest.raises(CorruptRecord, match=r"a\.json"):
            await store.threads.load("a")
        with pytest.raises(CorruptRecord, match=r"a\.json"):
            await store.threads.append("a", ThreadChangeSet(messages=(Message.user("x"),)))
        assert (await store.threads.list()).items == ("a", "b")
        assert (await store.threads.list(resource_id="owner")).total >= 1
        assert await store.threads.load("b") is not None
        await store.threads.append("b", ThreadChangeSet())


@each_damage
@pytest.mark.parametrize("folder", ["_runs", "_mailbox"])
async def test_a_damaged_run_or_entry_affects_only_itself(
    tmp_path: Path, damage: Callable[[Path], object], folder: str
) -> None:
    await fill(tmp_path)
    path = min((tmp_path / folder).iterdir())
    data = (
        path.read_bytes().replace(path.stem.encode(), b"z")
        if damage is DAMAGE["another's"]
        else b""
    )
    path.write_bytes(data) if data else damage(path)
    async with treadle.open_store(tmp_path) as store:
        is_run = folder == "_runs"
        load = store.runs.load if is_run else store.mailboxes.load_entry
        with pytest.raises(CorruptRecord, match=path.name):
            await load(path.stem)
        listed = await (store.runs.list() if is_run else store.mailboxes.list_entries())
        assert listed.total == 1
        [entry] = await store.mailboxes.claim(limit=1, consumer="w")
        await store.mailboxes.ack(entry)


async def test_the_doctor_reports_damaged_files_and_moves_them_when_asked(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "a.json").write_bytes(b"{")
    link(tmp_path / "_runs" / "b.json")
    (tmp_path / "_mailbox" / "CON.json").write_bytes(b"{}")
    report = examine(tmp_path)
    assert report.records == 9
    named = {finding.path for finding in report.findings}
    assert named == {
        "a.json",
        os.path.join("_runs", "b.json"),
        os.path.join("_mailbox", "CON.json"),
    }
    assert (tmp_path / "a.json").exists()
    moved = move_aside(tmp_path, report)
    assert all((tmp_path / path).is_symlink() or (tmp_path / path).exists() for path in moved)
    assert examine(tmp_path).findings == ()
    async with treadle.open_store(tmp_path) as store:
        assert await store.threads.load("a") is None


async def test_the_doctor_moves_nothing_while_the_store_is_open(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "a.json").write_bytes(b"{")
    async with treadle.open_store(tmp_path):
        report = examine(tmp_path)
        with pytest.raises(StoreUnavailable, match="has it open"):
            move_aside(tmp_path, report)
    assert (tmp_path / "a.json").exists()


async def test_unknown_fields_survive_appends_and_claims(tmp_path: Path) -> None:
    await fill(tmp_path)
    thread = tmp_path / "a.json"
    thread.write_bytes(thread.read_bytes().replace(b'"id"', b'"future": {"x": [1]}, "id"', 1))
    entry = min((tmp_path / "_mailbox").iterdir())
    entry.write_bytes(entry.read_bytes().replace(b'"payload"', b'"trace": "t", "payload"', 1))
    async with treadle.open_store(tmp_path) as store:
        await store.threads.append("a", ThreadChangeSet(messages=(Message.user("x"),)))
        for claimed in await store.mailboxes.claim(limit=2, consumer="w"):
            await store.mailboxes.ack(claimed)
    assert b'"future": {\n    "x": [\n      1\n    ]\n  }' in thread.read_bytes()
    assert b'"trace": "t"' in entry.read_bytes()


async def test_ids_that_differ_only_in_case_are_refused_where_the_file_system_folds_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.backends.files.json_files.JsonFiles.folds_case", lambda self: True)
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="Straße"))
        await store.mailboxes.send("box", 1)
        for taken in ("STRASSE", "straße"):
            with pytest.raises(treadle.AlreadyExists, match="cannot tell it from"):
                await store.threads.create(Thread(id=taken))
        await store.threads.append("Straße", ThreadChangeSet())
        await store.threads.delete("Straße")
        await store.threads.create(Thread(id="STRASSE"))


CRASH = """
import asyncio, os, sys, treadle
async def main():
    async with treadle.open_store(sys.argv[1]) as store:
        for key in ("x", "y", "z"):
            await store.threads.create(treadle.Thread(id=key))
        os._exit(0)
asyncio.run(main())
"""


def crash(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(folder)], check=True, timeout=60)


async def test_a_damaged_journal_is_reported_and_moved_when_asked(tmp_path: Path) -> None:
    crash(tmp_path)
    [journal] = (tmp_path / "_treadle").glob("journal-*")
    data = bytearray(journal.read_bytes())
    data[40] ^= 1
    journal.write_bytes(data)
    with pytest.raises(CorruptRecord, match="later ones are whole"):
        async with treadle.open_store(tmp_path):
            pass
    report = examine(tmp_path)
    assert [finding.path for finding in report.findings] == [os.path.join("_treadle", journal.name)]
    move_aside(tmp_path, report)
    assert examine(tmp_path).findings == ()
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.list()).items == ("x", "y", "z")  # they were written already
