"""Listings of threads look at what has changed, and read no thread as a whole."""

from pathlib import Path

import pytest

from treadle import Message, Store, Thread, open_store
from treadle.backends.files import _listed_threads
from treadle.backends.files.disk import Disk

THREADS = 30


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the JSON files that were read."""
    names: list[str] = []
    read = Disk.read

    def note(disk: Disk, path: str) -> bytes:
        names.append(Path(path).name)
        return read(disk, path)

    monkeypatch.setattr(Disk, "read", note)
    return names


async def fill(store: Store) -> None:
    for number in range(THREADS):
        said = Message.user(f"message of {number}")
        await store.threads.create(Thread(id=f"t{number}", messages=(said,)))


async def said_last(store: Store) -> dict[str, str | None]:
    page = await store.threads.list_summaries(limit=200, with_last_message=True)
    return {
        each.id: str(each.last_message.message.content) if each.last_message else None
        for each in page.items
    }


@pytest.mark.parametrize("room", [0, 2**20])
async def test_last_messages_are_read_again_only_if_there_is_no_room_for_them(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(_listed_threads, "_LAST_BYTES", room)
    async with open_store(tmp_path) as store:
        await fill(store)
    async with open_store(tmp_path) as store:
        first = await said_last(store)
        assert first == {f"t{number}": f"message of {number}" for number in range(THREADS)}
        reads.clear()
        assert await said_last(store) == first
        assert len(reads) == (0 if room else THREADS)


async def test_a_listing_shows_what_another_handle_has_changed(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as other:
        await fill(one)
        await other.threads.update("t0", resource_id="ann", parent_thread_id="t1")
        await other.threads.update("t2", resource_id="ann", parent_thread_id="t1")
        assert (await one.threads.list(resource_id="ann")).items == ("t0", "t2")
        assert (await one.threads.list(parent_thread_id="t1")).items == ("t0", "t2")
        await said_last(one)
        await other.threads.update("t0", resource_id="bob", parent_thread_id="t3")
        await other.threads.append("t0", Message.user("news"))
        await other.threads.truncate("t1", keep=0)
        await other.threads.delete("t2")
        await other.threads.create(Thread(id="new", resource_id="bob"))
        assert (await one.threads.list(resource_id="ann")).items == ()
        assert (await one.threads.list(resource_id="bob")).items == ("new", "t0")
        assert (await one.threads.list(parent_thread_id="t3")).items == ("t0",)
        assert (await one.threads.list(parent_thread_id="t1")).items == ()
        last = await said_last(one)
        assert (last["t0"], last["t1"], last["new"]) == ("news", None, None)
        assert "t2" not in last


async def test_a_thread_that_is_removed_by_another_program_has_no_last_message(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await fill(store)
    async with open_store(tmp_path) as store:
        await store.threads.list_summaries()
        (tmp_path / "t0.json").unlink()
        assert (await said_last(store))["t0"] is None
