"""Documents with an empty or strange name: they hurt nobody, whatever is in them."""

import os
from pathlib import Path

import pytest

import treadle
from treadle import Message, RunMeta, RunRecord, Thread, ThreadChangeSet
from treadle.backends.files.disk import Disk
from treadle.backends.files.doctor import examine
from treadle.backends.files.documents import FOLDERS

NAMES = (".json", "CON.json", "a..b.json", "e\u0301.json ", "x.JSON", "no-document")


def strew(folder: Path) -> None:
    """Write files that are no documents to every folder of the layout."""
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for stray in NAMES:
            (folder / name / stray).write_bytes(b"no JSON")


async def test_stray_files_are_invisible_to_every_call(tmp_path: Path) -> None:
    strew(tmp_path)
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", ThreadChangeSet(messages=(Message.user("without a run"),)))
        await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=RunMeta()))
        await store.runs.upsert(RunRecord(run_id="s", thread_id="t"))
        entry = await store.mailboxes.send("m", 1, dedupe_key="")
        [claimed] = await store.mailboxes.claim(consumer="w")
        assert claimed.entry_id == entry.entry_id
        await store.mailboxes.ack(claimed)
        await store.mailboxes.purge(older_than=10**15)
        assert (await store.threads.list()).items == ("t",)
        assert {run.run_id for run in (await store.runs.list()).items} == {"r", "s"}
        assert [box.mailbox_id for box in (await store.mailboxes.list()).items] == ["m"]
        assert (await store.mailboxes.list_entries()).total == 0


async def test_an_append_without_a_run_opens_no_run_s_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = Disk.read

    def note(disk: Disk, path: str) -> bytes:
        opened.append(os.path.relpath(path, tmp_path))
        return read(disk, path)

    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        monkeypatch.setattr(Disk, "read", note)
        await store.threads.append("t", ThreadChangeSet(messages=(Message.user("x"),)))
    assert opened == []


def test_the_doctor_reports_documents_whose_names_are_not_ids(tmp_path: Path) -> None:
    strew(tmp_path)
    reported = {finding.path for finding in examine(tmp_path).findings}
    bad = (".json", "CON.json", "a..b.json")
    assert reported == {os.path.join(name, stray) for name in FOLDERS.values() for stray in bad}
