"""Documents in a folder: a file of lines for each collection, and what may be wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from treadle import CorruptRecord, Store, StoreUnavailable, open_store
from treadle.backends.files import _journal
from treadle.backends.files._collection_files import CollectionChange, CollectionFiles
from treadle.backends.files.doctor import examine, move_aside


def file_of(folder: Path, collection: str = "c") -> Path:
    return folder / "_treadle" / "documents" / f"{collection}.jsonl"


def lines_of(folder: Path) -> list[Any]:
    return [json.loads(line) for line in file_of(folder).read_bytes().splitlines()]


async def values(store: Store, collection: str = "c") -> dict[tuple[str, ...], Any]:
    page = await store.documents.list(collection, limit=200)
    return {document.key: document.value for document in page.items}


async def fill(folder: Path, count: int = 3) -> None:
    async with open_store(folder) as store:
        for number in range(count):
            await store.documents.put("c", ("k", str(number)), number)


async def test_each_write_is_a_line_and_the_newest_counts(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "k", 1)
        await store.documents.put("c", "k", {"n": [1.0]})
        await store.documents.put("c", "other", None)
        await store.documents.delete("c", "k")
    found = [(line["key"], line.get("value"), line.get("removed")) for line in lines_of(tmp_path)]
    assert found == [
        (["k"], 1, None),
        (["k"], {"n": [1.0]}, None),
        (["other"], None, None),
        (["k"], None, True),
    ]
    async with open_store(tmp_path) as store:
        assert await values(store) == {("other",): None}


async def test_a_collection_without_documents_has_no_file(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with open_store(tmp_path) as store:
        assert await store.documents.delete_range("c") == 3
        assert not file_of(tmp_path).exists()
        await store.documents.put("c", "k", 1)
        assert await values(store) == {("k",): 1}


async def test_a_file_that_is_mostly_dead_is_rewritten(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store, open_store(tmp_path) as other:
        await store.documents.put("c", "first", "stays")
        for number in range(300):
            await store.documents.put("c", "k", [number, "x" * 1_000])
            if number % 50 == 0:
                assert (await values(other))[("k",)][0] == number
        size = file_of(tmp_path).stat().st_size
        assert size < 3 * 64 * 1024
        assert await values(other) == {("first",): "stays", ("k",): [299, "x" * 1_000]}
    async with open_store(tmp_path) as store:
        assert await values(store) == {("first",): "stays", ("k",): [299, "x" * 1_000]}


async def test_two_handles_see_what_the_other_wrote(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        for number in range(20):
            writer, reader = (one, other) if number % 2 else (other, one)
            await writer.documents.put("c", str(number), number)
            await writer.documents.delete("c", str(number - 5))
            assert await values(reader) == await values(writer)
        assert len(await values(one)) == 5


async def test_a_line_without_its_end_does_not_swallow_the_next(tmp_path: Path) -> None:
    await fill(tmp_path)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"collection":"c","key":["k","2"],"val')
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "new", 1)
    async with open_store(tmp_path) as store:
        assert await values(store) == {("k", "0"): 0, ("k", "1"): 1, ("new",): 1}
        with pytest.raises(CorruptRecord, match=r"c\.jsonl"):
            await store.documents.load("c", ("k", "2"))


DAMAGE: dict[str, bytes] = {
    "no JSON": b"\x00\xff",
    "another collection's": b'{"collection":"d","key":["k","9"],"version":1}',
    "a key that is not a list": b'{"collection":"c","key":"k"}',
    "too deep": b'{"collection":"c","key":["k","9"],"value":' + b"[" * 100_000 + b"}",
}


@pytest.mark.parametrize("line", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_line_hurts_no_other(tmp_path: Path, line: bytes) -> None:
    await fill(tmp_path)
    path = file_of(tmp_path)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line + b"\n" + b"".join(rest))
    async with open_store(tmp_path) as store:
        page = await store.documents.list("c")
        assert [document.value for document in page.items] == [0, 1, 2]
        assert page.unreadable == (f"_treadle/documents/c.jsonl, byte {len(first)}",)
        await store.documents.put("c", ("k", "0"), "new")
    report = examine(tmp_path)
    assert [finding.path for finding in report.findings] == ["_treadle/documents/c.jsonl"]
    (moved,) = move_aside(tmp_path, report)
    assert (tmp_path / moved).read_bytes() == line + b"\n"
    assert not examine(tmp_path).findings
    async with open_store(tmp_path) as store:
        assert await values(store) == {("k", "0"): "new", ("k", "1"): 1, ("k", "2"): 2}


async def test_a_page_names_the_damage_that_may_be_in_its_range(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.documents.put("c", ("a", "1"), "bad")
        await store.documents.put("c", ("b", "1"), "good")
        await store.documents.put("d", ("a", "1"), "good")
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"bad"', b'"b\xffd'))
    async with open_store(tmp_path) as store:
        assert (await store.documents.list("c")).unreadable
        assert (await store.documents.list("c", prefix="a")).unreadable
        assert not (await store.documents.list("c", prefix="b")).unreadable
        assert not (await store.documents.list("d")).unreadable


async def test_an_older_line_does_not_stand_for_a_damaged_one(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "k", "old")
        await store.documents.put("c", "k", "new")
        await store.documents.put("c", "other", 1)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"new"', b'"n\xffw'))
    async with open_store(tmp_path) as store:
        for call in (store.documents.load("c", "k"), store.documents.put("c", "k", 1)):
            with pytest.raises(CorruptRecord):
                await call
        assert await values(store) == {("other",): 1}


async def test_a_value_that_does_not_fit_the_model_is_damage(tmp_path: Path) -> None:
    await fill(tmp_path)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"created_at":', b'"created_at":-', 1))
    async with open_store(tmp_path) as store:
        page = await store.documents.list("c")
        assert [document.value for document in page.items] == [1, 2]
        with pytest.raises(CorruptRecord):
            await store.documents.load("c", ("k", "0"))
    assert len(examine(tmp_path).findings) == 1


async def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    await fill(tmp_path / "store")
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    path = file_of(tmp_path / "store")
    path.unlink()
    path.symlink_to(outside)
    async with open_store(tmp_path / "store") as store:
        with pytest.raises(CorruptRecord):
            await store.documents.put("c", "k", 1)
        with pytest.raises(CorruptRecord):
            await store.documents.list("c")
        await store.documents.put("d", "k", 1)
        assert (await store.documents.collections()).items == ("d",)
    assert outside.read_bytes() == b"precious"


async def test_a_file_with_a_byte_order_mark_is_read_and_written(tmp_path: Path) -> None:
    await fill(tmp_path)
    path = file_of(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().rstrip(b"\n"))
    async with open_store(tmp_path) as store:
        await store.documents.put("c", "new", 1)
        assert len(await values(store)) == 4
    async with open_store(tmp_path) as store:
        assert len(await values(store)) == 4


def test_names_in_the_folder_that_are_no_ids_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "_treadle" / "documents"
    folder.mkdir(parents=True)
    (folder / "con.jsonl").write_bytes(b"{}")
    (folder / "notes.txt").write_bytes(b"{}")
    assert [each.path for each in examine(tmp_path).findings] == ["_treadle/documents/con.jsonl"]


async def test_files_are_rewritten_one_by_one_when_traces_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together may be more than a record can have, and than fits into memory."""
    monkeypatch.setattr(_journal, "_LARGEST_PAYLOAD", 200_000)
    async with open_store(tmp_path) as store:
        for number in range(4):
            await store.documents.put(f"c{number}", "stays", "x" * 100_000)
            await store.documents.put(f"c{number}", "ann", "her text")
        assert (await store.erase("ann")).documents == 4
        for number in range(4):
            assert b"her text" not in file_of(tmp_path, f"c{number}").read_bytes()
            found = await store.documents.load(f"c{number}", "stays")
            assert found is not None
            assert len(found.value) == 100_000


async def test_a_rewriting_that_fails_in_between_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = CollectionFiles.write, 0

    def fail_once(files: CollectionFiles, name: str, change: CollectionChange) -> None:
        nonlocal calls
        calls += change.is_whole
        if calls == 2:
            raise OSError("no space is left")
        write(files, name, change)

    async with open_store(tmp_path) as store:
        for number in range(3):
            await store.documents.put(f"c{number}", "stays", number)
            await store.documents.put(f"c{number}", "ann", "her text")
        monkeypatch.setattr(CollectionFiles, "write", fail_once)
        with pytest.raises(StoreUnavailable, match="no space is left"):
            await store.erase("ann")
        calls += 1  # there is space again
        for number in range(3):
            assert await values(store, f"c{number}") == {("stays",): number}
        assert (await store.erase("ann")).documents == 0
        assert all(len(file_of(tmp_path, f"c{n}").read_bytes().splitlines()) == 1 for n in range(3))
