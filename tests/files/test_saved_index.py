"""The saved index of a collection spares the parsing of its file, and is never trusted."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.files.test_document_files import file_of, values
from treadle import CorruptRecord, open_store
from treadle.backends.files import _document_table
from treadle.backends.files._collection_index import CollectionIndex
from treadle.backends.files.doctor import examine
from treadle.testing.clock import ManualClock

COUNT = 30


@pytest.fixture(autouse=True)
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that are parsed; each index is saved, however small it is."""
    monkeypatch.setattr(_document_table, "_SAVED_FROM", 1)
    lines: list[bytes] = []
    add = CollectionIndex.add

    def noting(self: CollectionIndex, added: Any) -> None:
        lines.extend(map(bytes, added))
        add(self, added)

    monkeypatch.setattr(CollectionIndex, "add", noting)
    return lines


def index_of(folder: Path) -> Path:
    return file_of(folder).with_suffix(".index")


async def fill(folder: Path) -> dict[tuple[str, ...], Any]:
    async with open_store(folder) as store:
        for number in range(COUNT):
            expires_at = 10**13 if number % 3 == 0 else None
            await store.documents.put("c", f"{number:02d}", number, expires_at=expires_at)
        await store.documents.delete("c", "05")
        return await values(store)


async def test_a_collection_is_read_from_its_index_when_a_store_is_opened_again(
    tmp_path: Path, parsed: list[bytes]
) -> None:
    written = await fill(tmp_path)
    parsed.clear()
    clock = ManualClock()
    async with open_store(tmp_path, clock=clock) as store:
        assert await values(store) == written
        assert await store.documents.load("c", "05") is None
        assert not parsed
        await store.documents.put("c", "07", "again")
        await store.documents.delete("c", "08")
        assert len(parsed) == 2
        clock.now = 10**13 + 1
        assert await store.documents.purge(10**14) == COUNT // 3
    del written[("08",)]
    left = {key: value for key, value in written.items() if value % 3} | {("07",): "again"}
    async with open_store(tmp_path) as store:
        assert await values(store) == left


async def test_what_a_file_got_since_its_index_was_saved_is_parsed(
    tmp_path: Path, parsed: list[bytes]
) -> None:
    written = await fill(tmp_path)
    saved = index_of(tmp_path).read_bytes()
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "07", "again")
        await store.documents.put("c", "new", 1)
    index_of(tmp_path).write_bytes(saved)
    parsed.clear()
    async with open_store(tmp_path) as store:
        assert await values(store) == {**written, ("07",): "again", ("new",): 1}
    assert len(parsed) == 2


async def test_an_index_does_not_count_after_its_file_was_changed(tmp_path: Path) -> None:
    written = await fill(tmp_path)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"key":["03"]', b'"key":["x3"]'))
    async with open_store(tmp_path) as store:
        found = await values(store)
    assert ("03",) in written
    assert ("03",) not in found
    assert found[("x3",)] == 3


async def test_a_file_that_is_replaced_or_removed_takes_its_index_along(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with open_store(tmp_path) as store:
        assert index_of(tmp_path).exists()
        for number in range(100):
            await store.documents.put("c", "00", [number, "x" * 2_000])
        assert not index_of(tmp_path).exists()
        assert len(await values(store)) == COUNT - 1
    assert index_of(tmp_path).exists()
    async with open_store(tmp_path) as store:
        await store.documents.delete_range("c")
    assert not index_of(tmp_path).exists()


async def test_a_file_with_a_damaged_line_has_no_index(tmp_path: Path) -> None:
    await fill(tmp_path)
    index_of(tmp_path).unlink()
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes() + b"no JSON\n")
    async with open_store(tmp_path) as store:
        assert (await store.documents.list("c")).items
    assert not index_of(tmp_path).exists()


async def test_a_reader_saves_no_index(tmp_path: Path) -> None:
    written = await fill(tmp_path)
    index_of(tmp_path).unlink()
    async with open_store(tmp_path, read_only=True) as store:
        assert await values(store) == written
    assert not index_of(tmp_path).exists()


def made_up(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the index says, and give it the checksum that it needs."""
    path = index_of(folder)
    found = json.loads(path.read_bytes().split(b"\n", 1)[1])
    change(found)
    body = json.dumps(found).encode()
    path.write_bytes(b"%08x\n" % zlib.crc32(body) + body)


MADE_UP: dict[str, Callable[[dict[str, Any]], object]] = {
    "fewer places": lambda found: found["starts"].pop(),
    "fewer keys": lambda found: found["keys"].pop(),
    "a place behind the end": lambda found: found["starts"].__setitem__(0, 10**12),
    "a place that is negative": lambda found: found["starts"].__setitem__(0, -1),
    "a line of any length": lambda found: found["sizes"].__setitem__(0, 2**40),
    "a key that is not a text": lambda found: found["keys"].__setitem__(0, 7),
    "another checksum": lambda found: found.update(checksum=1),
    "more bytes than there are": lambda found: found.update(size=10**9),
    "half of a line": lambda found: found.update(size=found["size"] - 5),
    "nothing": lambda found: found.clear(),
}


@pytest.mark.parametrize("change", MADE_UP.values(), ids=MADE_UP)
async def test_an_index_that_cannot_be_right_is_ignored(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    written = await fill(tmp_path)
    made_up(tmp_path, change)
    async with open_store(tmp_path) as store:
        assert await values(store) == written


async def test_an_index_that_names_other_lines_yields_no_other_values(tmp_path: Path) -> None:
    written = await fill(tmp_path)
    made_up(tmp_path, lambda found: found["starts"].reverse())
    async with open_store(tmp_path) as store:
        found = await values(store)
        assert found.items() <= written.items()
        with pytest.raises(CorruptRecord, match=r"c\.jsonl"):
            await store.documents.load("c", "00")


async def test_a_file_is_rewritten_from_its_lines_whatever_its_index_says(tmp_path: Path) -> None:
    written = await fill(tmp_path)
    made_up(tmp_path, lambda found: found["starts"].reverse())
    async with open_store(tmp_path) as store:
        for number in range(100):
            await store.documents.put("c", "new", [number, "x" * 2_000])
        assert await values(store) == {**written, ("new",): [99, "x" * 2_000]}


async def test_an_index_without_keys_empties_no_file(tmp_path: Path) -> None:
    written = await fill(tmp_path)
    made_up(tmp_path, lambda found: found.update(keys=[], starts=[], sizes=[], expiring={}))
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "new", "only this one is known")
        await store.documents.delete("c", "new")
        assert await values(store) == written
    async with open_store(tmp_path) as store:
        assert await values(store) == written


SENSELESS = {"empty": b"", "zeros": b"\x00" * 100, "no checksum": b"[]", "no index": b"00000000\n"}


@pytest.mark.parametrize("content", SENSELESS.values(), ids=SENSELESS)
async def test_an_index_without_sense_is_ignored(tmp_path: Path, content: bytes) -> None:
    written = await fill(tmp_path)
    index_of(tmp_path).write_bytes(content)
    assert not examine(tmp_path).findings
    async with open_store(tmp_path) as store:
        assert await values(store) == written
        await store.documents.put("c", "new", 1)
    assert len(index_of(tmp_path).read_bytes()) > len(content)


@pytest.mark.skipif(os.name != "posix", reason="pipes and links")
@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link"])
async def test_what_is_no_file_in_place_of_an_index_hurts_nobody(tmp_path: Path, what: str) -> None:
    written = await fill(tmp_path)
    path = index_of(tmp_path)
    path.unlink()
    match what:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(tmp_path.parent / "elsewhere")
    async with open_store(tmp_path) as store:
        assert await values(store) == written
        await store.documents.put("c", "new", 1)
    async with open_store(tmp_path) as store:
        assert await values(store) == {**written, ("new",): 1}
    assert not (tmp_path.parent / "elsewhere").exists()
