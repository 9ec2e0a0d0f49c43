"""What one process has of a folder in memory does not grow with what it has done."""

import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.files.calls import batch_of, commit, do
from treadle import Message, Thread
from treadle.backends._deadline import Patience
from treadle.backends._group_thread import Failure
from treadle.backends.files import _journal as journal_module
from treadle.backends.files import _recovery as recovery
from treadle.backends.files import _tables as tables
from treadle.backends.files import _thread_cache as thread_cache
from treadle.backends.files._encoded_thread import read_thread
from treadle.backends.files._engine import Engine, ReadCall
from treadle.backends.files._entries import Entry, combine
from treadle.backends.files._entry_cache import EntryCache
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._thread_cache import ThreadCache
from treadle.backends.files.disk import Bytes, Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Put
from treadle.clock import system_clock
from treadle.core.mailbox_commands import Send
from treadle.core.mailboxes import MailboxEntry
from treadle.core.thread_commands import AppendThread, CreateThread
from treadle.core.threads import StoredThread, ThreadChangeSet, ThreadHead
from treadle.errors import CorruptRecord

TEXT = "x" * 200


class Kept:
    """The caches of the stores that are opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[ThreadCache] = []
        self.entries: list[EntryCache] = []
        kept = self

        class NotedThreads(ThreadCache):
            def __init__(self, files: JsonFiles, put: Put[StoredThread], budget: int) -> None:
                super().__init__(files, put, budget)
                kept.threads.append(self)

        class NotedEntries(EntryCache):
            def __init__(
                self, files: JsonFiles, put: Put[MailboxEntry], most: int, budget: int
            ) -> None:
                super().__init__(files, put, most, budget)
                kept.entries.append(self)

        monkeypatch.setattr(tables, "ThreadCache", NotedThreads)
        monkeypatch.setattr(tables, "EntryCache", NotedEntries)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


async def _work_off(store: treadle.Store, count: int, mailbox: str = "m") -> list[str]:
    """Send so many entries, claim and acknowledge them; return their ids."""
    ids: list[str] = []
    for number in range(count):
        await store.mailboxes.send(mailbox, TEXT, dedupe_key=f"{mailbox} {number}")
        [entry] = await store.mailboxes.claim(consumer="w")
        await store.mailboxes.ack(entry)
        ids.append(entry.entry_id)
    return ids


# --- journals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 7, 60, 300, 10_000])
def test_a_journal_is_written_and_read_in_parts_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(journal_module, "_TOGETHER", together)
    disk, path = Disk(), str(tmp_path / "journal")
    written = [b"a" * size for size in (0, 1, 200, 3, 5_000, 40, 41, 42)]
    one = Journal(disk, path, Position(1))
    for payload in written[:4]:
        one.append([payload], sync=True)
    one.append(written[4:], sync=True)
    one.close()
    other = Journal(disk, path, Position(1))
    assert [record.payload for record in other.read_on()] == written
    assert other.position == one.position
    other.close()


def test_a_damaged_record_is_found_although_later_ones_are_read_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_TOGETHER", 10)
    disk, path = Disk(), tmp_path / "journal"
    one = Journal(disk, str(path), Position(1))
    for _ in range(5):
        one.append([b"a" * 100], sync=True)
    one.close()
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    other = Journal(disk, str(path), Position(1))
    with pytest.raises(CorruptRecord, match="record 2 is damaged, but later ones are whole"):
        list(other.read_on())
    other.close()


def test_a_group_does_not_have_all_its_records_at_once(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path), system_clock, "full")
    engine.open(Patience.of(60))
    names = [f"t{number}" for number in range(40)]
    for name in names:
        commit(engine, CreateThread(thread=Thread(id=name, state="x" * 200_000)))
    engine.close()  # the first append of the next journal has the whole thread
    engine.open(Patience.of(60))
    says = ThreadChangeSet(messages=(Message.user("hi"),))
    appends = [batch_of(AppendThread(thread_id=name, changes=says)) for name in names]
    do(engine, ReadCall(lambda tables: [tables.threads[name] for name in names]))
    tracemalloc.start(1)
    try:
        outcomes = engine.run(appends, Patience.of(60))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        engine.close()
    assert not any(isinstance(outcome, Failure) for outcome in outcomes)
    assert most < 40 * 200_000 + 5 * 2**20  # the files, and a part of the journal


def test_a_checkpoint_does_not_read_a_journal_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class NotingDisk(Disk):
        def read_log(self, log: int, start: int, size: int) -> bytes:
            sizes.append(size)
            return super().read_log(log, start, size)

    monkeypatch.setattr(journal_module, "_TOGETHER", 10_000)
    engine = Engine(str(tmp_path), system_clock, "relaxed", NotingDisk(), journal_bytes=200_000)
    engine.open(Patience.of(60))
    for number in range(400):
        commit(engine, Send(mailbox_id="m", entry_id=f"e{number}", payload=TEXT))
    engine.close()
    assert sum(sizes) > 200_000
    assert max(sizes) <= 10_000


def test_a_checkpoint_notes_a_part_of_the_files_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = 0

    class CountingDisk(Disk):
        def sync(self, path: str) -> None:
            nonlocal synced
            synced += "/_mailbox/" in path
            super().sync(path)

    monkeypatch.setattr(recovery, "_SYNCED_AT_ONCE", 100)
    monkeypatch.setattr(journal_module, "_TOGETHER", 10_000)
    engine = Engine(str(tmp_path), system_clock, "relaxed", CountingDisk())
    engine.open(Patience.of(60))
    ids = [f"{number:0200}" for number in range(2_000)]
    sends = [batch_of(Send(mailbox_id="m", entry_id=each, payload="")) for each in ids]
    engine.run(sends, Patience.of(60))
    tracemalloc.start(1)
    try:
        engine.close()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert synced >= len(ids)
    assert most < 250_000  # the ids alone are 400,000


# --- entries --------------------------------------------------------------------------------------


async def test_entries_that_have_ended_are_packed_and_the_oldest_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Kept
) -> None:
    monkeypatch.setattr(tables, "ENDED_BYTES", 2_000)
    monkeypatch.setattr(tables, "ENDED_ROWS", 2)
    async with treadle.open_store(tmp_path) as store:
        ids = await _work_off(store, 20)
        [rows] = kept.entries
        in_memory = [rows.cached(each) is not None for each in ids]
        assert in_memory == sorted(in_memory)
        assert 5 <= sum(in_memory) <= 9
        loaded = [await store.mailboxes.load_entry(each) for each in ids]
        assert [(entry.payload, entry.status) for entry in loaded if entry] == [
            (TEXT, "accepted")
        ] * 20
        assert (await store.mailboxes.count_entries()).accepted == 20
        assert (await store.mailboxes.list(limit=5)).total == 1
        found = await store.mailboxes.list_entries(mailbox_id="m", limit=100)
        assert [entry.entry_id for entry in found.items] == ids
        assert (await store.mailboxes.list_entries(mailbox_id="other")).total == 0


async def test_a_dedupe_key_is_known_after_its_entry_has_left_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ENDED_BYTES", 0)
    monkeypatch.setattr(tables, "ENDED_ROWS", 0)
    async with treadle.open_store(tmp_path) as store, treadle.open_store(tmp_path) as other:
        [entry_id] = await _work_off(store, 1)
        sent = await store.mailboxes.send("m", "again", dedupe_key="m 0")
        assert (sent.was_known, sent.entry.entry_id) == (True, entry_id)
        await other.mailboxes.purge(2**50)
        sent = await store.mailboxes.send("m", "again", dedupe_key="m 0")
        assert not sent.was_known
        again = await store.mailboxes.send("m", "and again", dedupe_key="m 0")
        assert again.entry == sent.entry


async def test_an_ended_entry_that_is_damaged_later_disturbs_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ENDED_BYTES", 0)
    monkeypatch.setattr(tables, "ENDED_ROWS", 0)
    async with treadle.open_store(tmp_path) as store:
        [entry_id] = await _work_off(store, 1)
        (tmp_path / "_mailbox" / f"{entry_id}.json").write_text("{")
        assert len(await _work_off(store, 3, "other")) == 3
        with pytest.raises(CorruptRecord):
            await store.mailboxes.load_entry(entry_id)
        assert (await store.mailboxes.count_entries()).accepted == 3


# --- threads --------------------------------------------------------------------------------------


async def test_a_thread_that_comes_back_is_not_decoded_if_nobody_has_changed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "THREAD_BYTES", 0)
    decoded: list[str] = []

    def read(key: str, data: Bytes, where: str) -> ThreadHead:
        decoded.append(key)
        return read_thread(key, data, where)

    monkeypatch.setattr(thread_cache, "read_thread", read)
    async with treadle.open_store(tmp_path) as store:
        for number in range(3):
            for key in ("a", "b"):
                if not number:
                    await store.threads.create(Thread(id=key, state={"n": 1}))
                await store.threads.append(key, Message.user(str(number)))
        assert decoded == []
        path = tmp_path / "a.json"
        path.write_bytes(path.read_bytes().replace(b'"content": "1"', b'"content": "one"'))
        await store.threads.append("a", Message.user("3"))
        assert decoded == ["a"]
        head = await store.threads.load("a")
        assert head is not None
        assert [each.content for each in head.thread.messages] == ["0", "one", "2", "3"]
        assert None not in head.message_times
        assert head.thread.state == {"n": 1}


async def test_a_message_is_known_by_its_id_wherever_the_id_is(tmp_path: Path) -> None:
    hidden = Message(
        id='quoted "é" \\',
        role="user",
        content='\n      "id": "inner"',
        extra={"x": {"id": "inner"}},
    )
    async with treadle.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", hidden)
        for _ in range(2):
            committed = await store.threads.append("t", hidden)
            assert committed.skipped == (hidden.id,)
        inner = Message(id="inner", role="user", content="")
        assert (await store.threads.append("t", inner)).skipped == ()
        many = [Message(id=f"m{number}", role="user", content="") for number in range(10)]
        assert (await store.threads.append("t", *many)).skipped == ()
        ids = tuple(each.id for each in many)
        assert (await store.threads.append("t", *many)).skipped == ids
        await store.threads.truncate("t", keep=1)
        assert (await store.threads.append("t", inner)).skipped == ()


@pytest.mark.parametrize(("budget", "most"), [(16 * 2**20, 700), (20_000, 300)])
async def test_an_append_leaves_at_most_its_bytes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, most: int
) -> None:
    monkeypatch.setattr(tables, "THREAD_BYTES", budget)
    async with treadle.open_store(tmp_path, durability="relaxed") as store:
        for thread in range(10):
            await store.threads.create(Thread(id=f"t{thread}"))
            await store.threads.append(f"t{thread}", Message.user(TEXT))
        tracemalloc.start(1)
        try:
            for number in range(500):
                await store.threads.append(f"t{number % 10}", Message.user(TEXT))
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown / 500 < most


# --- recovery -------------------------------------------------------------------------------------


CRASHED = 300
"""How many entries a process had sent that has died."""


def crash(folder: Path) -> None:
    """Leave a folder as after a loss of power: a journal, and none of its JSON files."""
    engine = Engine(str(folder), system_clock, "full", Disk(), journal_bytes=2**40)
    engine.open(Patience.of(60))
    for number in range(CRASHED):
        send = Send(mailbox_id=f"m{number % 7}", entry_id=f"e{number}", payload=TEXT)
        said = ThreadChangeSet(messages=(Message.user(f"{number}", id=f"{number}"),))
        if number < 5:
            commit(engine, CreateThread(thread=Thread(id=f"t{number}")))
        commit(engine, AppendThread(thread_id=f"t{number % 5}", changes=said), send)
    journals = [path for path in (folder / "_treadle").iterdir() if path.name[:8] == "journal-"]
    kept = {path: path.read_bytes() for path in journals}
    engine.close()
    for path, data in kept.items():
        path.write_bytes(data)
    for path in files_in(folder):
        path.unlink()


def files_in(folder: Path) -> list[Path]:
    return [*folder.glob("t?.json"), *(folder / "_mailbox").iterdir()]


async def test_recovery_reads_a_part_of_large_journals_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(tmp_path)
    numbers: list[int] = []

    def counted(entries: Iterable[Entry]) -> Any:
        numbers.append(len(tuple(entries)))
        return combine(entries)

    monkeypatch.setattr(recovery, "combine", counted)
    monkeypatch.setattr(recovery, "_REPLAYED_AT_ONCE", 20_000)
    async with treadle.open_store(tmp_path) as store:
        assert (await store.mailboxes.count_entries()).queued == CRASHED
        for number in range(5):
            page = await store.threads.list_messages(f"t{number}", limit=200)
            said = [each.message.content for each in page.messages]
            assert said == [f"{each}" for each in range(number, CRASHED, 5)]
    assert sum(numbers) > 2 * 2 * CRASHED
    assert max(numbers) < CRASHED


async def test_recovery_of_large_journals_writes_nothing_if_a_part_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(tmp_path)
    monkeypatch.setattr(recovery, "_REPLAYED_AT_ONCE", 20_000)
    advanced = recovery._advanced

    def damaged(files: JsonFiles, key: str, change: Any) -> bytes:
        if key == "t3":
            raise CorruptRecord("thread 't3'", "damaged")
        return advanced(files, key, change)

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "_advanced", damaged)
        with pytest.raises(CorruptRecord):
            await treadle.open_store(tmp_path).open()
    assert not files_in(tmp_path)
    async with treadle.open_store(tmp_path) as store:
        assert (await store.mailboxes.count_entries()).queued == CRASHED
