"""A folder that somebody else has filled is input: it stops nobody, and commands nothing."""

import asyncio
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import treadle
from treadle import CorruptRecord, Message, RunRecord, Thread, ThreadChangeSet, TreadleError
from treadle.backends.files.backend import FilesBackend
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.files.doctor import examine, move_aside
from treadle.core.documents import Stored
from treadle.store.store import Store

SECONDS = 20
"""Turns a hang into a failure."""

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices in folders")


async def fill(folder: Path) -> None:
    async with treadle.open_store(folder) as store:
        for key in ("a", "b"):
            await store.threads.create(Thread(id=key))
            await store.threads.append(key, ThreadChangeSet(messages=(Message.user("hi"),)))
            await store.runs.upsert(RunRecord(run_id=key, thread_id=key))
            await store.mailboxes.send(key, key)


def entry_of(folder: Path, payload: str) -> Path:
    """Return the file of the entry with this payload."""
    [path] = [
        path
        for path in (folder / "_mailbox").iterdir()
        if json.loads(path.read_bytes())["payload"] == payload
    ]
    return path


def files_of(folder: Path) -> list[Path]:
    return list(folder.rglob("*.json"))


def change(path: Path, **fields: Any) -> None:
    document = json.loads(path.read_bytes()) | fields
    path.write_text(json.dumps(document))


async def use(store: Store) -> list[object]:
    """Do a bit of everything; return the payloads that were claimed."""
    await store.threads.list()
    await store.runs.list()
    await store.mailboxes.list_entries()
    await store.mailboxes.count_entries()
    await store.mailboxes.wait(timeout_ms=0)
    claimed = await store.mailboxes.claim(consumer="w", limit=9)
    for entry in claimed:
        await store.mailboxes.ack(entry)
    await store.threads.append("b", ThreadChangeSet(messages=(Message.user("x"),)))
    return [entry.payload for entry in claimed]


async def use_folder(folder: Path) -> list[object]:
    async def within_time() -> list[object]:
        async with treadle.open_store(folder) as store:
            return await use(store)

    return await asyncio.wait_for(within_time(), SECONDS)


# --- files that contradict themselves -------------------------------------------------------------

CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "claimed without token and lease": {"status": "claimed"},
    "claimed without a lease": {"status": "claimed", "claim_token": "x"},
    "claimed without a lease, due later": {"status": "claimed", "available_at": 2**62},
    "ended with a lease": {"status": "accepted", "lease_until": 1, "claim_token": "x"},
    "a lease before the beginning": {"status": "claimed", "lease_until": -1},
    "due before the beginning": {"available_at": -1},
    "a priority that there is not": {"priority": -1},
    "a negative count": {"attempt_count": -1},
    "a mailbox outside": {"mailbox_id": "../../outside/m"},
    "a mailbox without a name": {"mailbox_id": ""},
    "a mailbox with a NUL": {"mailbox_id": "a\0b"},
    "an integer of 30 digits": {"payload": 10**30},
    "an integer of 30 digits in a field that we do not know": {"more": {"a": [-(10**30)]}},
    "another id": {"entry_id": "b"},
    "a status that there is not": {"status": "lost"},
}


@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
async def test_an_entry_that_contradicts_itself_affects_only_itself(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    await fill(tmp_path)
    change(entry_of(tmp_path, "a"), **fields)
    assert await use_folder(tmp_path) == ["b"]


async def test_a_queued_entry_with_a_lease_is_worked(tmp_path: Path) -> None:
    await fill(tmp_path)
    change(entry_of(tmp_path, "a"), lease_until=2**62, claim_token="x", claimed_by="nobody")
    assert sorted(map(str, await use_folder(tmp_path))) == ["a", "b"]


@pytest.mark.parametrize("call", ["load", "append"])
@pytest.mark.parametrize(
    "fields", [{"state": 10**30}, {"_version": -1}, {"_version": 2**63}, {"id": "../b"}], ids=str
)
async def test_a_thread_that_contradicts_itself_affects_only_itself(
    tmp_path: Path, fields: dict[str, Any], call: str
) -> None:
    await fill(tmp_path)
    change(tmp_path / "a.json", **fields)
    async with treadle.open_store(tmp_path) as store:
        with pytest.raises(CorruptRecord, match=r"a\.json"):
            await (
                store.threads.load("a")
                if call == "load"
                else store.threads.append("a", ThreadChangeSet())
            )
    assert await use_folder(tmp_path) != []


NO_THREADS = {
    "nested without end": b'{"id": "a", "resource_id": "owner", "state": ' + b"[" * 100_000,
    "not UTF-8": b'{"id": "a", "resource_id": "\xff"}',
    "an owner that is a number": b'{"id": "a", "resource_id": 5}',
    "a number of 5,000 digits": b'{"id": "a", "resource_id": "owner", "state": %s}' % (b"1" * 5000),
}


@pytest.mark.parametrize("data", NO_THREADS.values(), ids=NO_THREADS)
async def test_a_thread_that_cannot_be_read_does_not_stop_listings(
    tmp_path: Path, data: bytes
) -> None:
    await fill(tmp_path)
    (tmp_path / "a.json").write_bytes(data)
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="c", resource_id="owner"))
        assert "c" in (await store.threads.list(resource_id="owner")).items
        assert (await store.threads.list()).total == 3
        with pytest.raises(CorruptRecord, match=r"a\.json"):
            await store.threads.load("a")
    assert [finding.path for finding in examine(tmp_path).findings] == ["a.json"]


# --- files as editors write them ------------------------------------------------------------------


async def test_files_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    await fill(tmp_path)
    for path in files_of(tmp_path):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert examine(tmp_path).findings == ()
    assert len(await use_folder(tmp_path)) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
async def test_files_in_utf_16_are_refused_as_such(tmp_path: Path, encoding: str) -> None:
    await fill(tmp_path)
    path = tmp_path / "a.json"
    path.write_bytes(
        ("\ufeff" + path.read_text()).encode(encoding).replace(b"\xff\xfe" * 2, b"\xff\xfe")
    )
    async with treadle.open_store(tmp_path) as store:
        with pytest.raises(CorruptRecord, match="it is UTF-16; save it as UTF-8"):
            await store.threads.load("a")
    assert [finding.path for finding in examine(tmp_path).findings] == ["a.json"]


# --- what is not a plain file ---------------------------------------------------------------------


def make_socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the path of a socket may be 107 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def make_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


STRANGE: dict[str, Callable[[Path], object]] = (
    {
        "a pipe": os.mkfifo,
        "a socket": make_socket,
        "a folder": Path.mkdir,
        "a link": make_link,
    }
    if os.name == "posix"
    else {"a folder": Path.mkdir}
)
each_strange = pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)


@each_strange
@pytest.mark.parametrize("folder", ["", "_runs", "_mailbox", "_mailbox_threads"])
async def test_what_is_no_plain_file_affects_only_itself(
    tmp_path: Path, make: Callable[[Path], object], folder: str
) -> None:
    await fill(tmp_path)
    path = entry_of(tmp_path, "a") if folder == "_mailbox" else tmp_path / folder / "a.json"
    path.unlink()
    make(path)
    make(tmp_path / "_treadle" / "deltas" / "c.jsonl")
    (tmp_path / "_treadle" / "deltas" / "b.jsonl").unlink()
    make(tmp_path / "_treadle" / "deltas" / "b.jsonl")
    assert "b" in await use_folder(tmp_path)
    assert str(path.relative_to(tmp_path)) in {each.path for each in examine(tmp_path).findings}


@each_strange
@pytest.mark.parametrize(
    "name", ["format.json", "lock", "open", "queue", "journal-0000000000000001"]
)
async def test_a_file_of_ours_that_is_no_plain_file_is_named_and_moved(
    tmp_path: Path, make: Callable[[Path], object], name: str
) -> None:
    await fill(tmp_path)
    path = tmp_path / "_treadle" / name
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(CorruptRecord, match=name):
        await use_folder(tmp_path)
    report = examine(tmp_path)
    assert [each.path for each in report.findings] == [os.path.join("_treadle", name)]
    move_aside(tmp_path, report)
    assert len(await use_folder(tmp_path)) == 2


@each_strange
async def test_what_is_put_in_place_of_a_document_of_an_open_store_is_replaced(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    await fill(tmp_path)
    async with treadle.open_store(tmp_path) as store:
        for _ in range(3):
            await store.threads.append("b", ThreadChangeSet())
            (tmp_path / "b.json").unlink()
            make(tmp_path / "b.json")
            await asyncio.wait_for(store.threads.append("b", ThreadChangeSet()), SECONDS)
            await asyncio.wait_for(store.threads.append("a", ThreadChangeSet()), SECONDS)
    assert examine(tmp_path).findings == ()


OURS = ("lock", "open", "queue", "journal-0000000000000001", "deltas/b.jsonl")


@pytest.mark.parametrize("name", OURS)
async def test_nothing_is_written_through_a_hard_link(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "store"
    await fill(folder)
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    path = folder / "_treadle" / name
    path.unlink(missing_ok=True)
    path.hardlink_to(outside)
    if name.startswith("deltas"):
        await use_folder(folder)
    else:
        with pytest.raises(CorruptRecord, match="hard link"):
            await use_folder(folder)
    assert outside.read_bytes() == b"mine"
    assert [os.path.basename(each.path) for each in examine(folder).findings] == [path.name]


async def test_a_document_with_a_second_name_is_read_and_its_other_name_is_not_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    await fill(folder)
    copy = tmp_path / "b.json"
    copy.hardlink_to(folder / "b.json")
    before = copy.read_bytes()
    await use_folder(folder)
    assert copy.read_bytes() == before != (folder / "b.json").read_bytes()


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_collection_with_a_second_name_is_written_and_its_other_name_is_not(
    tmp_path: Path, is_open: bool
) -> None:
    folder = tmp_path / "store"
    copy = tmp_path / "copy.jsonl"
    async with treadle.open_store(folder) as store:
        await store.documents.put("c", "a", 1)
        if is_open:
            copy.hardlink_to(folder / "_treadle" / "documents" / "c.jsonl")
    if not is_open:
        copy.hardlink_to(folder / "_treadle" / "documents" / "c.jsonl")
    before = copy.read_bytes()
    async with treadle.open_store(folder) as store:
        await store.documents.put("c", "b", 2)
        await store.documents.put("c", "a", 3)
    async with treadle.open_store(folder) as store:
        page = await store.documents.list("c")
        assert [(each.key, each.value) for each in page.items] == [(("a",), 3), (("b",), 2)]
    assert copy.read_bytes() == before
    assert examine(folder).findings == ()


def collection_of(folder: Path) -> Path:
    return folder / "_treadle" / "documents" / "c.jsonl"


@each_strange
async def test_what_is_put_in_place_of_a_collection_of_an_open_store_affects_only_itself(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    folder = tmp_path / "store"
    path = folder / "_treadle" / "documents" / "c.jsonl"
    async with treadle.open_store(folder) as store:
        await store.documents.put("c", "a", 1)
        path.rename(tmp_path / "moved")
        make(path)
        for number in range(3):
            puts = (store.documents.put(collection, "b", number) for collection in "cd")
            group = asyncio.gather(*puts, return_exceptions=True)
            refused, stored = await asyncio.wait_for(group, SECONDS)
            assert isinstance(refused, CorruptRecord)
            assert refused.where == os.path.join("_treadle", "documents", "c.jsonl")
            assert isinstance(stored, Stored)
        path.rename(tmp_path / "strange")
        (tmp_path / "moved").rename(path)
        await store.documents.put("c", "b", 2)
    async with treadle.open_store(folder) as store:
        page = await store.documents.list("c")
        assert [each.value for each in page.items] == [1, 2]


class HastyDisk(Disk):
    """Lets somebody put a link in place of a file at the last moment before it is written."""

    def __init__(self, moved: Path) -> None:
        super().__init__()
        self.moved: Path | None = moved

    def write_tail(self, path: str, start: int, data: Bytes) -> None:
        if self.moved is not None:
            moved, self.moved = self.moved, None
            os.rename(path, moved)
            os.symlink(moved, path)
        super().write_tail(path, start, data)


async def test_a_commit_is_acknowledged_although_its_collection_becomes_a_link_meanwhile(
    tmp_path: Path,
) -> None:
    folder, moved = tmp_path / "store", tmp_path / "moved"
    path = folder / "_treadle" / "documents" / "c.jsonl"
    async with treadle.open_store(folder) as store:
        await store.documents.put("c", "a", 1)
    async with Store(FilesBackend(folder, disk=HastyDisk(moved))) as store:
        await store.documents.put("c", "b", 2)
        with pytest.raises(CorruptRecord, match="a link"):
            await store.documents.list("c")
        path.unlink()
        moved.rename(path)
        page = await store.documents.list("c")
        assert [each.value for each in page.items] == [1, 2]


async def test_a_file_of_any_size_affects_only_itself(tmp_path: Path) -> None:
    await fill(tmp_path)
    os.truncate(tmp_path / "a.json", 2**43)  # it has holes, and takes no space
    async with treadle.open_store(tmp_path) as store:
        with pytest.raises(TreadleError, match="memory"):
            await store.threads.load("a")
    assert len(await use_folder(tmp_path)) == 2


# --- journals -------------------------------------------------------------------------------------


def record(payload: bytes, number: int = 1, group: int = 1) -> bytes:
    """Return a record of a journal with a valid checksum."""
    rest = struct.pack("<IQQ?", len(payload), number, group, True)
    checksum = zlib.crc32(payload, zlib.crc32(rest))
    return b"TRDL" + struct.pack("<I", checksum) + rest + payload


def put(table: str, key: str, document: object = None) -> bytes:
    return msgspec.json.encode([["put", table, key, document]])


APPENDED = {"changes": {"reason": "UserMessage"}, "committed_at": 1, "version": 9}
PAYLOADS: dict[str, bytes] = {
    "a document outside": put("threads", "../../outside/placed", {}),
    "a document with an absolute path": put("threads", "/tmp/placed", {}),
    "a document of ours": put("threads", "_treadle/format", {}),
    "a removal outside": msgspec.json.encode([["remove", "threads", "../../outside/mine"]]),
    "an append outside": msgspec.json.encode([["append", "../../outside/mine", [APPENDED]]]),
    "a NUL in a key": put("threads", "a\0b", {}),
    "a key that is a number": b'[["put", "threads", 5, {}]]',
    "a table that there is not": put("secrets", "a", {}),
    "an entry that there is not": b'[["delete", "threads", "a"]]',
    "a number": b"[1]",
    "an object": b"{}",
    "no JSON": b"\xff\xfe",
    "nothing": b"",
    "too deep": b"[" * 100_000,
    "an append to nothing": msgspec.json.encode([["append", "new", [APPENDED]]]),
    "an append of nonsense": msgspec.json.encode([["append", "a", [5]]]),
    "an append to nonsense": msgspec.json.encode([["first", "a", [APPENDED], 5]]),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_a_journal_that_treadle_has_not_written_is_refused_and_commands_nothing(
    tmp_path: Path, payload: bytes
) -> None:
    folder, outside = tmp_path / "store", tmp_path / "outside"
    await fill(folder)
    outside.mkdir()
    (outside / "mine.json").write_text("mine")
    journal = folder / "_treadle" / "journal-0000000000000001"
    journal.write_bytes(record(payload))
    before = (folder / "a.json").read_bytes()
    with pytest.raises(CorruptRecord):
        await use_folder(folder)
    report = examine(folder)
    assert [each.path for each in report.findings] == [os.path.join("_treadle", journal.name)]
    assert [each.name for each in outside.iterdir()] == ["mine.json"]
    assert (outside / "mine.json").read_text() == "mine"
    assert (folder / "a.json").read_bytes() == before
    move_aside(folder, report)
    assert len(await use_folder(folder)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "99999999999999999999999999",
        "\u0663",
        "1",
        "-1",
        "",
        "x",
        "00000000000000001",
        "0" * 15 + "\u0663",
    ],
    ids=ascii,
)
async def test_a_file_with_a_name_like_a_journal_s_is_ignored_and_reported(
    tmp_path: Path, name: str
) -> None:
    await fill(tmp_path)
    path = tmp_path / "_treadle" / f"journal-{name}"
    path.write_bytes(record(put("threads", "new", {})))
    assert len(await use_folder(tmp_path)) == 2
    assert path.exists()
    assert [each.path for each in examine(tmp_path).findings] == [
        os.path.join("_treadle", path.name)
    ]


async def test_a_journal_that_leaves_no_number_for_another_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "_treadle" / ("journal-" + "9" * 16)).touch()
    with pytest.raises(CorruptRecord, match="no journal can follow it"):
        await use_folder(tmp_path)
    move_aside(tmp_path, examine(tmp_path))
    assert len(await use_folder(tmp_path)) == 2


async def test_the_largest_numbers_in_a_record_are_no_error(tmp_path: Path) -> None:
    await fill(tmp_path)
    journal = tmp_path / "_treadle" / "journal-0000000000000001"
    journal.write_bytes(record(b"[]", 2**64 - 1, 2**64 - 1))
    (tmp_path / "_treadle" / "lock").write_bytes(b"\xff" * 33)
    assert len(await use_folder(tmp_path)) == 2


async def test_a_journal_full_of_damaged_records_is_refused_in_bounded_time(tmp_path: Path) -> None:
    await fill(tmp_path)
    header, count = struct.Struct("<4sIIQQ?"), 200_000
    headers = (
        header.pack(b"TRDL", 0, header.size * left, 9, 9, True) for left in reversed(range(count))
    )
    journal = tmp_path / "_treadle" / "journal-0000000000000001"
    journal.write_bytes(b"damaged" + b"".join(headers))
    with pytest.raises(CorruptRecord, match="full of damaged records"):
        await use_folder(tmp_path)
