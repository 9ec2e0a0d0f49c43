"""Rows in memory: the least recently used threads are evicted, and read again when needed."""

from pathlib import Path
from typing import Never

import pytest

import treadle
from treadle import MailboxEntry, Message, Store, Thread
from treadle.backends.files import _tables as tables
from treadle.backends.files import _thread_cache as cache
from treadle.backends.files._encoded_thread import EncodedThread
from treadle.backends.files._entry_cache import EntryCache
from treadle.backends.files._thread_cache import ThreadCache
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Put
from treadle.core.mailboxes import SETTLED
from treadle.core.threads import StoredThread, ThreadHead


def _refuse(key: str, row: StoredThread | None) -> None:
    raise AssertionError("these tests only read")


async def test_the_least_recently_used_thread_is_evicted_and_read_again_when_needed(
    tmp_path: Path,
) -> None:
    keys = [f"t{number}" for number in range(3)]
    async with treadle.open_store(tmp_path) as store:
        for key in keys:
            await store.threads.create(Thread(id=key, state="x" * 1_000))
    rows = ThreadCache(JsonFiles(Disk(), str(tmp_path)), _refuse, budget=9_000)
    for key in ("t0", "t1", "t0", "t2"):
        assert rows[key].head.thread.id == key
        rows.evict()
    assert [key for key in keys if rows.cached(key) is not None] == ["t0", "t2"]
    assert rows["t1"].head.thread.state == "x" * 1_000


async def test_threads_are_evicted_after_reads_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"t{number}" for number in range(5)]
    async with treadle.open_store(tmp_path) as store:
        for key in keys:
            await store.threads.create(Thread(id=key, state="x" * 1_000))
    rows: list[ThreadCache] = []

    class NotedCache(ThreadCache):
        def __init__(self, files: JsonFiles, put: Put[StoredThread], budget: int) -> None:
            super().__init__(files, put, budget)
            rows.append(self)

    monkeypatch.setattr(tables, "THREAD_BYTES", 9_000)
    monkeypatch.setattr(tables, "ThreadCache", NotedCache)
    async with treadle.open_store(tmp_path) as store:
        for key in keys:
            await store.threads.load(key)
        assert [key for key in keys if rows[-1].cached(key) is not None] == ["t3", "t4"]


async def test_an_append_does_not_encode_the_whole_thread_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    class NotingThread(EncodedThread):
        def __init__(self, head: ThreadHead) -> None:
            super().__init__(head)
            encoded.append(head.version)

    monkeypatch.setattr(cache, "EncodedThread", NotingThread)
    async with treadle.open_store(tmp_path) as one, treadle.open_store(tmp_path) as other:
        await one.threads.create(Thread(id="t"))
        for number in range(4):
            for store in (one, other):  # each follows the appends of the other
                await store.threads.append("t", Message.user(str(number)))
    assert encoded == [0, 1]  # once for each of them
    async with treadle.open_store(tmp_path) as store:
        head = await store.threads.load("t")
        assert head is not None
        assert [message.content for message in head.thread.messages] == [*"00112233"]


async def test_a_page_of_mailboxes_reads_only_the_documents_on_it(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        for mailbox_id in ("a", "b"):
            await store.mailboxes.ensure(mailbox_id)
    (tmp_path / "_mailbox_threads" / "b.json").write_text("{")
    async with treadle.open_store(tmp_path) as store:
        page = await store.mailboxes.list(limit=1)
    assert [state.mailbox_id for state in page.items] == ["a"]
    assert (page.total, page.has_more) == (2, True)


def _refuse_all(_entries: EntryCache) -> Never:
    raise AssertionError("all entries are looked at")


async def end_entries(store: Store, *mailboxes: str, each: int) -> None:
    for mailbox_id in mailboxes:
        for number in range(each):
            await store.mailboxes.send(mailbox_id, number)
        await store.mailboxes.cancel_pending(mailbox_id)


async def payloads(store: Store, mailbox_id: str) -> list[object]:
    page = await store.mailboxes.search_entries(
        mailbox_id=mailbox_id, statuses=SETTLED, order="asc", limit=200
    )
    assert not page.unreadable
    return [entry.payload for entry in page.items]


async def test_a_listing_of_a_mailbox_looks_at_its_own_ended_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ENDED_ROWS", 10)
    mailboxes = [f"m{number}" for number in range(20)]
    async with treadle.open_store(tmp_path) as store, treadle.open_store(tmp_path) as other:
        await end_entries(store, *mailboxes, each=10)
        assert await payloads(store, "m3") == [*range(10)]
        with monkeypatch.context() as patch:
            patch.setattr(EntryCache, "__iter__", _refuse_all)
            assert await payloads(store, "m4") == [*range(10)]
            assert (await store.mailboxes.count_entries("m5")).cancelled == 10
        await end_entries(other, "m4", "new", each=2)
        await end_entries(store, "m5", each=1)
        assert await payloads(store, "m4") == [*range(10), 0, 1]
        assert await payloads(store, "m5") == [*range(10), 0]
        assert await payloads(store, "new") == [0, 1]
        await other.mailboxes.delete("m4")
        assert await payloads(store, "m4") == []
        await other.mailboxes.purge(2**60, statuses=SETTLED)
        assert await payloads(store, "m3") == []


def path_of(folder: Path, entry: MailboxEntry) -> Path:
    [path] = folder.rglob(f"{entry.entry_id}.json")
    return path


async def test_a_damaged_entry_may_be_of_any_mailbox_until_it_is_repaired(tmp_path: Path) -> None:
    async with treadle.open_store(tmp_path) as store:
        await end_entries(store, "a", "b", each=1)
        [entry] = (await store.mailboxes.search_entries(mailbox_id="a")).items
    path = path_of(tmp_path, entry)
    text = path.read_text()
    path.write_text("{")
    async with treadle.open_store(tmp_path) as store:
        for mailbox_id in ("b", "a"):
            page = await store.mailboxes.search_entries(mailbox_id=mailbox_id)
            assert len(page.unreadable) == 1
        path.write_text(text)
        assert await payloads(store, "b") == await payloads(store, "a") == [0]
