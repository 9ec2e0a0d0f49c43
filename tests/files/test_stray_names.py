"""JsonFiles with an empty or strange name: they hurt nobody, whatever is in them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import treadle
from treadle import InvalidId, MailboxEntry, Message, RunMeta, RunRecord, Thread, ThreadChangeSet
from treadle.backends.files import _names
from treadle.backends.files.disk import Disk
from treadle.backends.files.doctor import examine
from treadle.backends.files.json_files import FOLDERS

NAMES = (".json", "CON.json", "a..b.json", "e\u0301.json ", "x.JSON", "no-document")


def strew(folder: Path) -> None:
    """Write files that are not the store's to every folder of the layout."""
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for stray in NAMES:
            (folder / name / stray).write_bytes(b"no JSON")


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale in which Python takes the names of files for ASCII."""


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "treadle", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_stray_files_are_invisible_to_every_call(tmp_path: Path) -> None:
    strew(tmp_path)
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", ThreadChangeSet(messages=(Message.user("without a run"),)))
        await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=RunMeta()))
        await store.runs.upsert(RunRecord(run_id="s", thread_id="t"))
        entry = (await store.mailboxes.send("m", 1, dedupe_key="")).entry
        [claimed] = await store.mailboxes.claim(consumer="w")
        assert claimed.entry_id == entry.entry_id
        await store.mailboxes.ack(claimed)
        await store.mailboxes.purge(ended_before=10**15)
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


def test_the_doctor_reports_files_whose_names_are_not_ids(tmp_path: Path) -> None:
    strew(tmp_path)
    reported = {finding.path for finding in examine(tmp_path).findings}
    bad = (".json", "CON.json", "a..b.json")
    assert reported == {os.path.join(name, stray) for name in FOLDERS.values() for stray in bad}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are always UTF-8 elsewhere")
@pytest.mark.parametrize("command", ["export", "doctor --move-aside", "send m 1"])
async def test_a_locale_with_other_file_names_is_refused_and_no_document_is_taken_for_damage(
    tmp_path: Path, command: str
) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="caf\u00e9"))
    before = files_in(tmp_path)
    arguments = [*command.split(), "--store", str(tmp_path)]
    ended = await asyncio.to_thread(run, *arguments, **ASCII)
    assert ended.returncode != 0
    assert "PYTHONUTF8=1" in ended.stderr
    assert ended.stdout == ""
    assert files_in(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are always UTF-8 elsewhere")
def test_names_that_are_not_utf_8_are_reported_and_moved(tmp_path: Path) -> None:
    strew(tmp_path)
    for name in (b"\xff.json", b"_treadle/journal-\xff"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT))
    ended = run("doctor", "--json", "--move-aside", "--store", str(tmp_path))
    report = json.loads(ended.stdout)
    assert {"\\udcff.json", "_treadle/journal-\\udcff"} <= {
        finding["path"] for finding in report["findings"]
    }
    assert len(report["moved"]) == len(report["findings"])
    assert run("doctor", "--store", str(tmp_path)).returncode == 0


FORBIDDEN = ("telegram:601", "a?b", "a*b", "a|b", "<a>", 'a"b')


@pytest.mark.parametrize("key", FORBIDDEN)
async def test_an_id_that_is_no_file_name_on_windows_is_refused_there(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_names, "_IS_WINDOWS", True)
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.threads.create(Thread(id=key)),
            lambda: store.threads.append("t", ThreadChangeSet(run_id=key, run_meta=RunMeta())),
            lambda: store.mailboxes.send(key, 1),
            lambda: store.mailboxes.enqueue(MailboxEntry(entry_id=key, mailbox_id="m")),
            lambda: store.threads.load(key),
        ]
        for call in calls:
            with pytest.raises(InvalidId, match="on Windows no file name has"):
                await call()
        assert (await store.threads.list()).items == ("t",)
        assert (await store.mailboxes.list()).total == 0
    assert [path.name for path in files_in(tmp_path) if path.parent == tmp_path] == ["t.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
@pytest.mark.parametrize("key", FORBIDDEN)
async def test_an_id_that_is_no_file_name_on_windows_is_the_name_of_its_document_elsewhere(
    tmp_path: Path, key: str
) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id=key))
    async with treadle.open_store(tmp_path) as store:
        assert (await store.threads.list()).items == (key,)
    assert (tmp_path / f"{key}.json").exists()
