"""Folders changed at random: every call ends, with a result or an error of Treadle."""

import asyncio
import faulthandler
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import treadle
from treadle import Message, Thread, ThreadChangeSet, TreadleError
from treadle.backends.files.doctor import examine, move_aside
from treadle.store.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and links in folders")

CASES = 20
CHUNKS = 4
SECONDS = 60
"""Turns a hang into a failure."""

CRASH = """
import asyncio, os, sys, treadle
from treadle import Message, RunMeta, Thread, ThreadChangeSet
async def main():
    async with treadle.open_store(sys.argv[1]) as store:
        for key in ("a", "b", "kept"):
            await store.threads.create(Thread(id=key, resource_id="owner"))
            said = (Message.user("hi"),)
            changes = ThreadChangeSet(messages=said, run_id=key, run_meta=RunMeta())
            await store.threads.append(key, changes)
            for priority in (0, 1):
                await store.mailboxes.send(key, key, dedupe_key=str(priority), priority=priority)
        await store.mailboxes.claim(mailbox_id="a", consumer="w")
        await store.mailboxes.interrupt("b")
        await store.mailboxes.send("b", 1)
        os._exit(0)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose only process has died, so that its journal is there."""
    folder = tmp_path_factory.mktemp("crashed") / "store"
    subprocess.run([sys.executable, "-c", CRASH, str(folder)], check=True, timeout=60)
    return folder


@pytest.fixture(autouse=True)
def an_end() -> Generator[None]:
    """End the process if a call neither returns nor fails."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# --- mutations ------------------------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(10**30)),
    *("", "a", "b", "../outside/x", "/x", "a\0b", "\u202e", "claimed", "queued", "accepted"),
    *([], [1], {}, {"a": 1}, [[[[]]]], {"version": 1}),
)


class Mutation:
    """A random change to a folder; `log` says what it was."""

    def __init__(self, folder: Path, outside: Path, seed: int) -> None:
        self.choose = random.Random(seed)
        self.folder = folder
        self.outside = outside
        self.log: list[str] = [f"seed {seed}"]
        self.only_rows = True

    def mutate(self) -> None:
        ways = (self.flip, self.cut, self.replace, self.change, self.change, self.rename, self.add)
        for _ in range(self.choose.randint(1, 3)):
            way = self.choose.choice(ways)
            path = self.pick()
            self.log.append(f"{way.__name__} {path.relative_to(self.folder)}")
            way(path)

    def pick(self) -> Path:
        """Choose a file, but not the thread that is kept."""
        files = [path for path in sorted(self.folder.rglob("*")) if not path.is_dir()]
        others = [path for path in files if path.name != "kept.json"]
        path = self.choose.choice(others)
        self.only_rows &= path.parent.name not in ("_treadle", "tmp")
        return path

    def flip(self, path: Path) -> None:
        if data := bytearray(read(path)):
            for _ in range(self.choose.randint(1, 9)):
                data[self.choose.randrange(len(data))] ^= 1 << self.choose.randrange(8)
            rewrite(path, bytes(data))

    def cut(self, path: Path) -> None:
        if data := read(path):
            rewrite(path, data[: self.choose.randrange(len(data))])

    def replace(self, path: Path) -> None:
        path.unlink()
        ways: tuple[Callable[[], object], ...] = (
            lambda: os.mkfifo(path),
            path.mkdir,
            lambda: path.symlink_to(self.outside / "mine"),
            lambda: path.symlink_to(self.outside / "new"),
            lambda: path.hardlink_to(self.outside / "mine"),
            lambda: None,
        )
        self.choose.choice(ways)()

    def change(self, path: Path) -> None:
        """Change a value in a file, or in a record of a journal whose checksum stays right."""
        data = read(path)
        if path.name.startswith("journal-"):
            rewrite(path, b"".join(self.changed_records(data)))
        elif data.startswith(b"{"):
            rewrite(path, self.changed(data))

    def changed_records(self, data: bytes) -> Iterator[bytes]:
        header = struct.Struct("<4sIIQQ")
        victim = self.choose.randrange(20)
        start = 0
        while start + header.size <= len(data):
            magic, _, length, number, group = header.unpack_from(data, start)
            payload = data[start + header.size : start + header.size + length]
            start += header.size + length
            if number == victim:
                payload = self.changed(payload)
            rest = struct.pack("<IQQ", len(payload), number, group)
            checksum = zlib.crc32(payload, zlib.crc32(rest))
            yield magic + struct.pack("<I", checksum) + rest + payload

    def changed(self, data: bytes) -> bytes:
        try:
            document = json.loads(data)
        except ValueError:  # an earlier mutation has damaged it
            return data
        inner = document
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                return data
            key = self.choose.choice(keys)
            if not isinstance(inner[key], dict | list) or self.choose.random() < 0.3:
                break
            inner = inner[key]
        inner[key] = self.choose.choice(VALUES)
        self.log.append(f"{key} is {inner[key]!r}")
        return json.dumps(document).encode()

    def rename(self, path: Path) -> None:
        names = ("c.json", "a..b.json", "journal-\u0663", "journal-0000000000000002", "x\x1b.json")
        path.rename(path.with_name(self.choose.choice(names)))

    def add(self, path: Path) -> None:
        other = self.pick()
        target = path.parent / other.name
        if other.is_file() and not os.path.lexists(target):
            shutil.copyfile(other, target)


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()  # it may be a hard link to the file outside
    path.write_bytes(data)


# --- calls ----------------------------------------------------------------------------------------


async def claim_and_settle(store: Store) -> None:
    for entry in await store.mailboxes.claim(limit=9, consumer="w"):
        await store.mailboxes.ack(entry)


CALLS: tuple[Callable[[Store], Awaitable[object]], ...] = (
    lambda store: store.threads.list(),
    lambda store: store.threads.list(resource_id="owner"),
    lambda store: store.threads.summary("a"),
    lambda store: store.threads.list_summaries(by="updated_at"),
    lambda store: store.threads.update("a", metadata={"title": "x"}),
    lambda store: store.threads.load("a"),
    lambda store: store.threads.list_deltas("a", 0),
    lambda store: store.threads.append("a", ThreadChangeSet(messages=(Message.user("x"),))),
    lambda store: store.threads.append("b", ThreadChangeSet(run_id="b")),
    lambda store: store.runs.list(),
    lambda store: store.runs.load("a"),
    lambda store: store.mailboxes.list(),
    lambda store: store.mailboxes.list_entries(),
    lambda store: store.mailboxes.count_entries(),
    lambda store: store.mailboxes.wait(timeout_ms=0),
    lambda store: store.mailboxes.send("a", 1, dedupe_key="0"),
    lambda store: store.mailboxes.send("b", 1),
    claim_and_settle,
    lambda store: store.mailboxes.interrupt("a"),
    lambda store: store.mailboxes.cancel_pending("b"),
    lambda store: store.mailboxes.purge(2**62),
    lambda store: store.threads.save(Thread(id="b")),
    lambda store: store.threads.delete("a"),
)


async def use(folder: Path) -> None:
    async with treadle.open_store(folder) as store:
        for call in CALLS:
            with suppress(TreadleError):  # any other error is a fault of ours
                await call(store)
        head = await store.threads.load("kept")
        assert head is not None
        assert head.thread.messages[0].content == "hi"
        await store.threads.append("kept", ThreadChangeSet())


async def check(mutation: Mutation) -> None:
    """Use the folder; have it examined and repaired; use it again."""
    folder = mutation.folder
    try:
        await use(folder)
    except TreadleError:
        assert not mutation.only_rows, "a damaged file has stopped the store"
    try:
        report = examine(folder)
        move_aside(folder, report)
    except treadle.SchemaTooNew:
        return
    await use(folder)
    left = {finding.path for finding in examine(folder).findings}
    assert left <= {finding.path for finding in report.findings}, left


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_folder_changed_at_random_stops_no_call_and_changes_nothing_outside(
    tmp_path: Path, crashed: Path, chunk: int
) -> None:
    for seed in range(chunk * CASES, (chunk + 1) * CASES):
        place = tmp_path / str(seed)
        outside = place / "outside"
        outside.mkdir(parents=True)
        (outside / "mine").write_bytes(b"mine")
        shutil.copytree(crashed, place / "store")
        mutation = Mutation(place / "store", outside, seed)
        mutation.mutate()
        try:
            asyncio.run(check(mutation))
        except Exception as error:
            raise AssertionError("; ".join(mutation.log)) from error
        assert [path.name for path in outside.iterdir()] == ["mine"], mutation.log
        assert (outside / "mine").read_bytes() == b"mine", mutation.log
