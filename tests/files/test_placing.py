"""Putting a document in place: readers see it whole, and no one else's file is written over."""

import json
import mmap
import os
import sys
from pathlib import Path

import pytest

import treadle
from treadle import Message, Thread, ThreadChangeSet
from treadle.backends.files import exchange, spares
from treadle.backends.files.disk import Disk

linux = pytest.mark.skipif(sys.platform != "linux", reason="leases and exchanges are Linux's")


class Placing:
    """One document, placed again and again."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk()
        self.by = folder / "tmp"
        self.by.mkdir()
        self.path = folder / "a.json"

    def place(self, data: bytes) -> None:
        self.disk.place(str(self.path), [data], str(self.by))

    def inode(self) -> int:
        return self.path.stat().st_ino


@pytest.fixture
def placing(tmp_path: Path) -> Placing:
    return Placing(tmp_path)


@linux
def test_two_files_serve_a_document_that_is_placed_again_and_again(placing: Placing) -> None:
    inodes = set()
    for number in range(10):
        data = b"x" * (100 - number)
        placing.place(data)
        assert placing.path.read_bytes() == data
        inodes.add(placing.inode())
    assert len(inodes) == 2


def test_a_reader_who_has_the_old_document_open_reads_it_whole(placing: Placing) -> None:
    placing.place(b"old" * 1000)
    with placing.path.open("rb") as reader:
        for number in range(5):
            placing.place(b"%d" % number * 3000)
        assert reader.read() == b"old" * 1000


def test_a_mapped_document_is_not_written_over(placing: Placing) -> None:
    placing.place(b"old" * 1000)
    with placing.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for number in range(5):
        placing.place(b"%d" % number * 3000)
    assert bytes(mapped) == b"old" * 1000
    mapped.close()


def test_a_document_linked_elsewhere_is_not_written_over(placing: Placing, tmp_path: Path) -> None:
    placing.place(b"old")
    (tmp_path / "backup.json").hardlink_to(placing.path)
    for number in range(5):
        placing.place(b"%d" % number)
    assert (tmp_path / "backup.json").read_bytes() == b"old"


def test_a_document_with_other_rights_is_not_written_over(placing: Placing) -> None:
    placing.place(b"old")
    placing.path.chmod(0o600)
    for number in range(5):
        placing.place(b"%d" % number)
        assert placing.path.stat().st_mode & 0o077 == 0o666 & ~_umask() & 0o077


def test_a_link_in_place_of_a_document_is_replaced_not_followed(
    placing: Placing, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"mine")
    placing.path.symlink_to(target)
    for number in range(4):
        placing.place(b"%d" % number)
    assert target.read_bytes() == b"mine"
    assert not placing.path.is_symlink()


def test_what_is_kept_to_be_written_over_is_removed_at_the_end(placing: Placing) -> None:
    for number in range(5):
        placing.place(b"%d" % number)
    placing.disk.remove_spares()
    assert list(placing.by.iterdir()) == []


@pytest.mark.parametrize("missing", ["exchange", "leases", "both"])
def test_where_the_system_lacks_a_call_documents_are_placed_all_the_same(
    placing: Placing, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing != "leases":
        monkeypatch.setattr(exchange, "_renameat2", None)
    if missing != "exchange":
        monkeypatch.setattr(spares, "_is_open_nowhere_else", lambda descriptor: False)
    for number in range(5):
        placing.place(b"%d" % number * (5 - number))
        assert placing.path.read_bytes() == b"%d" % number * (5 - number)
    placing.disk.remove_spares()
    assert list(placing.by.iterdir()) == []


async def test_a_thread_s_document_is_in_place_when_the_append_returns(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for number in range(1, 4):
            await store.threads.append("t", ThreadChangeSet(messages=(Message.user("hi"),)))
            document = json.loads((tmp_path / "t.json").read_bytes())
            assert document["_version"] == number == len(document["messages"])


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
