"""Rows in memory: the least recently used threads are evicted, and read again when needed."""

from pathlib import Path

import pytest

import treadle
from treadle import Message, Thread
from treadle.backends.files import _tables as tables
from treadle.backends.files import _thread_cache as cache
from treadle.backends.files._encoded_thread import EncodedThread
from treadle.backends.files._thread_cache import ThreadCache
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Put
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
