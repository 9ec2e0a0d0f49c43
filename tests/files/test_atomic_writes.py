"""Atomic writes: readers see a file whole, and nobody else's file is overwritten."""

import json
import mmap
import os
import sys
from pathlib import Path

import pytest

import treadle
from treadle import Message, Thread, ThreadChangeSet
from treadle.backends.files import _swap as swap
from treadle.backends.files import _temp_files as temp_files
from treadle.backends.files.disk import Disk

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux swaps names and has leases")


class Document:
    """One file, written again and again."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk()
        self.temp_folder = folder / "tmp"
        self.temp_folder.mkdir()
        self.path = folder / "a.json"

    def write(self, data: bytes) -> None:
        self.disk.write_atomically(str(self.path), [data], str(self.temp_folder))

    def inode(self) -> int:
        return self.path.stat().st_ino


@pytest.fixture
def document(tmp_path: Path) -> Document:
    return Document(tmp_path)


@linux
def test_two_files_are_enough_for_a_document_that_is_written_again_and_again(
    document: Document,
) -> None:
    inodes = set()
    for number in range(10):
        data = b"x" * (100 - number)
        document.write(data)
        assert document.path.read_bytes() == data
        inodes.add(document.inode())
    assert len(inodes) == 2


def test_a_reader_who_has_the_old_document_open_reads_it_whole(document: Document) -> None:
    document.write(b"old" * 1000)
    with document.path.open("rb") as reader:
        for number in range(5):
            document.write(b"%d" % number * 3000)
        assert reader.read() == b"old" * 1000


def test_a_mapped_document_is_not_overwritten(document: Document) -> None:
    document.write(b"old" * 1000)
    with document.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for number in range(5):
        document.write(b"%d" % number * 3000)
    assert bytes(mapped) == b"old" * 1000
    mapped.close()


def test_a_document_with_a_second_link_is_not_overwritten(
    document: Document, tmp_path: Path
) -> None:
    document.write(b"old")
    (tmp_path / "backup.json").hardlink_to(document.path)
    for number in range(5):
        document.write(b"%d" % number)
    assert (tmp_path / "backup.json").read_bytes() == b"old"


def test_a_document_with_other_permissions_is_not_overwritten(document: Document) -> None:
    document.write(b"old")
    document.path.chmod(0o600)
    for number in range(5):
        document.write(b"%d" % number)
        assert document.path.stat().st_mode & 0o077 == 0o666 & ~_umask() & 0o077


def test_a_link_at_a_document_s_path_is_replaced_and_not_followed(
    document: Document, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"mine")
    document.path.symlink_to(target)
    for number in range(4):
        document.write(b"%d" % number)
    assert target.read_bytes() == b"mine"
    assert not document.path.is_symlink()


@pytest.mark.parametrize("missing", ["nothing", "swap", "leases", "both"])
def test_files_are_written_and_temporary_files_removed_whatever_the_system_lacks(
    document: Document, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing in ("swap", "both"):
        monkeypatch.setattr(swap, "_renameat2", None)
    if missing in ("leases", "both"):
        monkeypatch.setattr(temp_files, "_is_open_nowhere_else", lambda descriptor: False)
    for number in range(5):
        document.write(b"%d" % number * (5 - number))
        assert document.path.read_bytes() == b"%d" % number * (5 - number)
    document.disk.remove_temp_files()
    assert list(document.temp_folder.iterdir()) == []


def test_a_document_in_more_parts_than_the_system_takes_at_once_is_written(
    document: Document,
) -> None:
    parts = [b"%d," % number for number in range(5_000)]
    document.disk.write_atomically(str(document.path), parts, str(document.temp_folder))
    assert document.path.read_bytes() == b"".join(parts)


async def test_a_thread_s_document_is_written_when_the_append_returns(tmp_path: Path) -> None:
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
