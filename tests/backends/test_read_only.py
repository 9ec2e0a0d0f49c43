"""Reading needs no writing: snapshots, read-only volumes and other users' stores can be read."""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.files.calls import commit, read_state
from treadle import (
    Message,
    ReadOnlyStore,
    Store,
    StoreUnavailable,
    Thread,
    TreadleError,
    open_store,
)
from treadle.backends._deadline import Patience
from treadle.backends.files._engine import Engine
from treadle.backends.files._read_only import ReadOnlyEngine
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.sqlite.reader import SqliteReader
from treadle.core.documents import DeleteDocuments, PutDocument
from treadle.core.mailbox_commands import Send
from treadle.core.thread_commands import DeleteThread, EnsureThread
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.store.copying import copy_store

KINDS = pytest.mark.parametrize("kind", ["files", "sqlite"])
STORES = pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)

READS = """
import asyncio, contextlib, os, sys
import treadle

async def main(url):
    async with treadle.open_store(url, read_only=True) as store:
        print((await store.threads.list()).items, await store.threads.message_count("a"))
        print((await store.mailboxes.count_entries("box")).queued)
        try:
            await store.mailboxes.claim(consumer="w")
        except treadle.ReadOnlyStore:
            print("refused")
    if len(sys.argv) > 3:
        async with treadle.open_store(url):
            pass

if sys.argv[2] != "root":
    with contextlib.redirect_stdout(None):
        asyncio.run(main(sys.argv[1]))  # imports what the other user cannot
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""
COMMANDS = """
import sys
from click.testing import CliRunner
from treadle.cli.app import app

def run(*arguments, status=0):
    result = CliRunner().invoke(app, arguments, env={"TREADLE_STORE": url})
    assert result.exit_code == status, (arguments, result.output)
    return result.output

url, target = sys.argv[1:]
for command in ("threads list", "threads show a", "mailboxes list", "mailboxes stats",
                "mailboxes entries", "runs list",
                "doctor", f"export --output {target}.jsonl", f"copy {url} {target}"):
    run(*command.split())
assert "is not available" in run("send", "box", "1", status=1)
"""
WHAT_IT_READS = "('a', 'b') 2\n1\nrefused\n"


def url_of(kind: str, folder: Path) -> str:
    return str(folder) if kind == "files" else f"sqlite:///{folder}/store.db"


async def fill(store: Store) -> None:
    for name in ("a", "b"):
        await store.threads.ensure(Thread(id=name))
    await store.threads.append("a", Message.user("hello"))
    await store.threads.append("a", Message.user("again"))
    await store.mailboxes.send("box", {"n": 1})


async def filled(url: str) -> None:
    async with open_store(url, migrate=True) as store:
        await fill(store)


def contents(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in (folder, *folder.rglob("*"))
    }


async def check_reads(store: Store) -> None:
    assert (await store.threads.list()).items == ("a", "b")
    assert await store.threads.message_count("a") == 2
    assert (await store.mailboxes.count_entries("box")).queued == 1
    await asyncio.wait_for(store.mailboxes.wait(10_000), 5)  # one is due


def in_read_only_mount(folder: Path, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, str(folder), *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


CAN_MOUNT = os.geteuid() == 0 and not subprocess.call(
    ["unshare", "--mount", "true"], stderr=subprocess.DEVNULL
)
needs_mounts = pytest.mark.skipif(not CAN_MOUNT, reason="only root may mount a folder read-only")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@STORES
async def test_a_read_only_store_answers_and_refuses_each_write(store_url: str) -> None:
    await filled(store_url)
    async with open_store(store_url, read_only=True) as store:
        await check_reads(store)
        writes: list[Callable[[], object]] = [
            lambda: store.threads.ensure(Thread(id="c")),
            lambda: store.mailboxes.send("box", {}),
            lambda: store.mailboxes.claim(consumer="w"),
            lambda: store.mailboxes.interrupt("box"),
            lambda: store.commit((EnsureThread(thread=Thread(id="c")),)),
            lambda: store.commit((), connection=object()),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyStore, match="without read_only"):
                await write()  # type: ignore[misc]
        await check_reads(store)


@STORES
async def test_a_read_only_store_follows_those_that_write(store_url: str) -> None:
    await filled(store_url)
    async with open_store(store_url, read_only=True) as reader, open_store(store_url) as writer:
        await check_reads(reader)
        for name in ("c", "d"):
            await writer.threads.ensure(Thread(id=name))
            await writer.threads.append(name, Message.user("x"))
            assert name in (await reader.threads.list()).items
            assert await reader.threads.message_count(name) == 1
        await writer.threads.delete("c")
        assert (await reader.threads.list()).items == ("a", "b", "d")


@STORES
@pytest.mark.parametrize("is_open", [True, False])
async def test_a_read_only_store_follows_writers_that_come_and_go(
    store_url: str, is_open: bool
) -> None:
    await filled(store_url)
    first = await open_store(store_url).open()
    if not is_open:
        await first.close()
    async with open_store(store_url, read_only=True) as reader:
        await check_reads(reader)
        await first.close()
        for _ in range(2):
            async with open_store(store_url) as writer:
                await writer.threads.append("a", Message.user("x"))
        assert await reader.threads.message_count("a") == 4
        async with open_store(store_url) as writer:
            await writer.threads.append("a", Message.user("x"))
            assert await reader.threads.message_count("a") == 5


async def test_a_wait_in_a_folder_that_nobody_has_opened_sees_the_first_writer(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    await filled(str(folder))
    for name in ("lock", "queue", "open"):
        (folder / "_treadle" / name).unlink()
    async with open_store(folder, read_only=True) as reader:
        waiting = asyncio.create_task(reader.mailboxes.wait(60_000, mailbox_id="new"))
        await asyncio.sleep(0.05)
        async with open_store(folder) as writer, asyncio.timeout(20):
            await writer.mailboxes.send("new", 1)
            await waiting


@STORES
async def test_a_read_only_store_hears_of_writers_that_come_and_go(store_url: str) -> None:
    """Each leaves the files as the one before it has left them."""
    writers = 3 if store_url.startswith("postgresql:") else 20  # there, it looks once a second
    await filled(store_url)
    async with open_store(store_url, read_only=True) as store:
        hints = store.changes()
        await anext(hints)
        for number in range(writers):
            async with open_store(store_url) as writer:
                await writer.mailboxes.send("box", number % 10)
            async with asyncio.timeout(10):
                await anext(hints)
        await hints.aclose()


async def test_commits_in_the_log_are_read_through_a_link_to_the_database(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "store.db"
    link.symlink_to(tmp_path / "store.db")
    await filled(url_of("sqlite", tmp_path))
    async with open_store(url_of("sqlite", tmp_path)) as writer:
        await writer.threads.ensure(Thread(id="c"))
        async with open_store(url_of("sqlite", link.parent), read_only=True) as reader:
            assert (await reader.threads.list()).items == ("a", "b", "c")


async def test_a_database_that_never_stops_changing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of("sqlite", tmp_path)
    await filled(url)
    reader = SqliteReader(tmp_path / "store.db", call_seconds=0.1)
    await reader.open()
    versions = itertools.count()
    monkeypatch.setattr(
        "treadle.backends.sqlite.reader._state_of", lambda _: (next(versions), None)
    )
    with pytest.raises(StoreUnavailable, match="changed each time"):
        async with asyncio.timeout(20):
            await reader.read(LoadThreadSummary(thread_id="a"))
    await reader.close()


@STORES
async def test_a_read_only_store_can_be_copied(store_url: str) -> None:
    await filled(store_url)
    async with open_store(store_url, read_only=True) as store, open_store("memory:") as target:
        copied = await copy_store(store, target)
        assert not copied.differing
        await check_reads(target)


async def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    for url in (str(tmp_path / "none"), f"sqlite:///{tmp_path}/none.db"):
        with pytest.raises(StoreUnavailable, match="no store exists"):
            await open_store(url, read_only=True).open()
    with pytest.raises(TreadleError, match="in memory"):
        open_store("memory:", read_only=True)
    with pytest.raises(TreadleError, match="migrate"):
        open_store(str(tmp_path), read_only=True, migrate=True)
    assert contents(tmp_path).keys() == {"."}


@KINDS
async def test_reading_a_closed_store_writes_nothing(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path)
    await filled(url)
    before = contents(tmp_path)
    async with open_store(url, read_only=True) as store:
        await check_reads(store)
    assert contents(tmp_path) == before


@KINDS
async def test_a_snapshot_of_an_open_store_is_read_as_it_is(kind: str, tmp_path: Path) -> None:
    live, snapshot = tmp_path / "live", tmp_path / "snapshot"
    async with open_store(url_of(kind, live)) as store:
        await fill(store)
        shutil.copytree(live, snapshot)
    before = contents(snapshot)
    async with open_store(url_of(kind, snapshot), read_only=True) as store:
        await check_reads(store)
    after = contents(snapshot)
    if kind == "files":
        assert after == before
    else:  # SQLite's memory of the log, which others would rebuild, too
        assert after["store.db"] == before["store.db"]
        assert after["store.db-wal"] == before["store.db-wal"]


class FullDisk(Disk):
    """Takes what is written to the journal, and nothing else."""

    is_full = False

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        if self.is_full:
            raise OSError("no space left on device")
        super().write_atomically(path, parts, temp_folder, sync=sync)


async def test_commits_that_are_only_in_the_journal_are_read_and_not_written(
    tmp_path: Path,
) -> None:
    live, snapshot = tmp_path / "live", tmp_path / "snapshot"
    disk = FullDisk()
    async with Store(FilesBackend(live, disk=disk)) as store:
        await store.threads.ensure(Thread(id="a"))
        await store.threads.append("a", Message.user("hello"))
        async with store.batch() as step:
            disk.is_full = True
            step.threads.ensure(Thread(id="b"))
            step.threads.append("a", Message.user("again"))
            step.mailboxes.send("box", {"n": 1})
            step.documents.put("c", "k", 1)
        shutil.copytree(live, snapshot)
        disk.is_full = False
    before = contents(snapshot)
    assert "b.json" not in before
    async with open_store(snapshot, read_only=True) as store:
        await check_reads(store)
        assert await store.documents.load("c", "k") is not None
    assert contents(snapshot) == before


def test_a_reader_sees_what_a_writer_sees_across_journals(tmp_path: Path) -> None:
    writer = Engine(str(tmp_path), lambda: 1, "full", journal_bytes=2000)
    writer.open(Patience.of(60))
    commit(writer, EnsureThread(thread=Thread(id="a")))
    reader = ReadOnlyEngine(str(tmp_path), lambda: 1)
    reader.open(Patience.of(60))
    for number in range(40):
        put = PutDocument(collection="c", key=(str(number % 3),), value="x" * number)
        remove = DeleteDocuments(collection="c" if number % 10 == 9 else "none")
        send = Send(mailbox_id="box", payload={"n": number}, entry_id=f"e{number}")
        commit(writer, put, remove, send)
        if number % 3 == 0:
            assert read_state(reader) == read_state(writer)
    last = read_state(writer)
    writer.close()
    assert read_state(reader) == last
    again = Engine(str(tmp_path), lambda: 1, "full")
    again.open(Patience.of(60))
    commit(again, DeleteThread(thread_id="a"))
    assert read_state(reader) == read_state(again) != last
    again.close()
    reader.close()


@needs_mounts
@KINDS
async def test_a_store_on_a_read_only_volume_is_read(kind: str, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path)
    await filled(url)
    command = [sys.executable, "-c", READS, url, "root"]
    done = in_read_only_mount(tmp_path, command)
    assert (done.stdout, done.stderr, done.returncode) == (WHAT_IT_READS, "", 0)
    refused = in_read_only_mount(tmp_path, [*command, "then open it to write"])
    assert "StoreUnavailable" in refused.stderr
    assert "read_only=True" in refused.stderr


@needs_mounts
@KINDS
@pytest.mark.parametrize("left_out", [(), ("store.db-shm",)])
async def test_a_snapshot_of_an_open_store_on_a_read_only_volume_is_read(
    kind: str, left_out: tuple[str, ...], tmp_path: Path
) -> None:
    live, snapshot = tmp_path / "live", tmp_path / "snapshot"
    async with open_store(url_of(kind, live)) as store:
        await fill(store)
        shutil.copytree(live, snapshot, ignore=lambda folder, names: left_out)
    done = in_read_only_mount(
        snapshot, [sys.executable, "-c", READS, url_of(kind, snapshot), "root"]
    )
    if kind == "sqlite" and left_out:
        assert "StoreUnavailable" in done.stderr
        assert "copy store.db, with store.db-wal, to a folder that can be written" in done.stderr
    else:
        assert (done.stdout, done.stderr, done.returncode) == (WHAT_IT_READS, "", 0)


@needs_mounts
@KINDS
async def test_the_commands_that_read_work_on_a_read_only_volume(kind: str, tmp_path: Path) -> None:
    live, store, target = tmp_path / "live", tmp_path / "store", tmp_path / "copied"
    async with open_store(url_of(kind, live)) as opened:
        await fill(opened)
        shutil.copytree(live, store)  # with its journal, or its log
    command = [sys.executable, "-c", COMMANDS, url_of(kind, store), str(target)]
    done = in_read_only_mount(store, command)
    assert done.returncode == 0, done.stderr + done.stdout
    async with open_store(target) as copied:
        await check_reads(copied)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@KINDS
async def test_another_user_s_store_is_read(kind: str, public_folder: Path) -> None:
    url = url_of(kind, public_folder)
    await filled(url)
    subprocess.run(["chmod", "-R", "a+rX", public_folder], check=True)  # noqa: ASYNC221
    command = [sys.executable, "-c", READS, url, "nobody"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (WHAT_IT_READS, "", 0)
