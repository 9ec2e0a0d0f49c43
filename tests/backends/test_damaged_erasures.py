"""An erasure deletes what it can read, and names what it cannot; a purge leaves it."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

from treadle import CorruptRecord, Message, PurgedThreads, RunRecord, Store, Thread, open_store
from treadle.backends.postgres.location import parse_location

every_kind = pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
in_databases = pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
_DAMAGE = {
    "thread": "UPDATE thread_bodies SET body = '{'"
    " WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = 'damaged')",
    "child": "UPDATE thread_bodies SET body = '{'"
    " WHERE thread_key = (SELECT thread_key FROM threads WHERE thread_id = 'below')",
    "run": "UPDATE runs SET body = '{' WHERE run_id = 'of whole'",
    "document": "UPDATE documents SET version = -1 WHERE collection = 'notes'",
    "entry": "UPDATE entries SET status = 'lost' WHERE entry_id = 'waits'",
    "mailbox": "UPDATE mailboxes SET current_generation = -1 WHERE mailbox_id = 'damaged'",
    "own document": "UPDATE documents SET version = -1 WHERE collection = 'own'",
}
_FILES = {
    "thread": "damaged.json",
    "child": "below.json",
    "run": "_runs/of whole.json",
    "entry": "_mailbox/waits.json",
    "mailbox": "_mailbox_threads/damaged.json",
}
_OWN_LINES = "_treadle/documents/own.jsonl"
_NAMES = {
    "thread": "thread 'damaged'",
    "child": "thread 'below'",
    "run": "run 'of whole'",
    "document": "document ('notes', 'ann', 'a')",
    "entry": "entry 'waits'",
    "mailbox": "mailbox 'damaged'",
    "own document": "document ('own', 'ann')",
}


def damage(store_url: str, kind: str) -> str:
    """Damage a record of a closed store; return the name that it has in errors."""
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as file:
            file.execute(_DAMAGE[kind])
            file.commit()
    elif store_url.startswith("postgres"):
        location = parse_location(store_url)
        with psycopg.connect(location.conninfo) as server:
            server.execute(f'SET search_path TO "{location.schema}"'.encode())
            server.execute(_DAMAGE[kind].encode())
    elif kind == "own document":
        path = Path(store_url, _OWN_LINES)
        path.write_text(path.read_text().replace('"version":', '"version":-'))
        return f"{_OWN_LINES}, key ['ann']"
    else:
        Path(store_url, _FILES[kind]).write_text("{")
        return _FILES[kind]
    return _NAMES[kind]


def damage_message(path: Path) -> None:
    path.write_text(path.read_text().replace('"role": "user"', '"role": "nobody"'))


async def fill(store: Store) -> None:
    for thread_id in ("damaged", "whole"):
        await store.threads.create(Thread(id=thread_id, resource_id="ann"))
        await store.runs.upsert(
            RunRecord(run_id=f"of {thread_id}", thread_id=thread_id, agent_id="a")
        )
    await store.threads.create(Thread(id="below", parent_thread_id="whole"))
    await store.documents.put("notes", ("ann", "a"), "text")


@every_kind
@pytest.mark.parametrize(
    ("kind", "deleted"),
    [("thread", (2, 1, 1)), ("child", (2, 2, 1)), ("run", (3, 1, 1))],
)
async def test_an_erasure_names_what_it_cannot_read(
    store_url: str, kind: str, deleted: tuple[int, int, int]
) -> None:
    async with open_store(store_url) as store:
        await fill(store)
    name = damage(store_url, kind)
    async with open_store(store_url) as store:
        erased = await store.erase("ann")
        assert (erased.threads, erased.runs, erased.documents) == deleted
        assert erased.unreadable == (name,)


@in_databases
async def test_an_erasure_names_a_document_that_it_cannot_read(store_url: str) -> None:
    async with open_store(store_url) as store:
        await fill(store)
    name = damage(store_url, "document")
    async with open_store(store_url) as store:
        erased = await store.erase("ann")
        assert (erased.threads, erased.documents, erased.unreadable) == (3, 0, (name,))


@every_kind
@pytest.mark.parametrize("kind", ["thread", "child"])
async def test_a_dry_run_names_the_threads_that_it_cannot_read(store_url: str, kind: str) -> None:
    async with open_store(store_url) as store:
        await fill(store)
    name = damage(store_url, kind)
    async with open_store(store_url) as store:
        assert (await store.erase("ann", dry_run=True)).unreadable == (name,)


@every_kind
async def test_an_erasure_that_can_read_everything_names_nothing(store_url: str) -> None:
    async with open_store(store_url) as store:
        await fill(store)
        assert (await store.erase("ann")).unreadable == ()


@every_kind
async def test_a_thread_whose_mailbox_has_a_damaged_entry_is_not_purged(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.threads.create(Thread(id="old"))
        await store.mailboxes.send("old", 1, entry_id="waits")
    name = damage(store_url, "entry")
    async with open_store(store_url) as store:
        purged = await store.purge_threads(2**50)
        assert (purged.threads, purged.active) == (0, 1)
        assert [each.endswith(name) for each in purged.unreadable] == [True]
        assert await store.threads.load("old") is not None
        with pytest.raises(CorruptRecord, match=re.escape(name)):
            await store.mailboxes.load_entry("waits")


@every_kind
async def test_an_erasure_goes_on_behind_a_mailbox_that_it_cannot_read(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.store.erasing.PAGE", 1)
    async with open_store(store_url) as store:
        await fill(store)
        await store.threads.update("damaged", parent_thread_id="above")
        await store.threads.create(Thread(id="above", resource_id="ann"))
        await store.mailboxes.ensure("damaged")
    name = damage(store_url, "mailbox")
    async with open_store(store_url) as store:
        assert (await store.erase("ann", dry_run=True)).unreadable == (name,)
        erased = await store.erase("ann")
        assert (erased.threads, erased.runs, erased.unreadable) == (2, 2, (name,))
        # With its mailbox, and what leads to it.
        assert (await store.threads.list()).items == ("above", "damaged")


@every_kind
async def test_an_erasure_names_an_entry_that_it_cannot_read_and_leaves(store_url: str) -> None:
    """In a database it goes with its mailbox; in a folder its owner is unknown."""
    async with open_store(store_url) as store:
        await fill(store)
        await store.mailboxes.send("whole", 1, entry_id="waits")
        await store.mailboxes.send("whole", 2)
    name = damage(store_url, "entry")
    left = (Path(store_url) / name).exists()
    async with open_store(store_url) as store:
        erased = await store.erase("ann")
        assert (erased.threads, erased.entries) == (3, 1)
        assert erased.unreadable == ((name,) if left else ())
        assert left or await store.mailboxes.load_entry("waits") is None


@every_kind
async def test_an_erasure_deletes_documents_beside_one_that_it_cannot_read(store_url: str) -> None:
    async with open_store(store_url) as store:
        await fill(store)
        await store.documents.put("own", "ann", "text")
    name = damage(store_url, "own document")
    async with open_store(store_url) as store:
        erased = await store.erase("ann")
        assert (erased.threads, erased.documents, erased.unreadable) == (3, 1, (name,))


async def test_an_erasure_and_a_purge_go_on_behind_a_thread_with_a_damaged_message(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await fill(store)
        await store.threads.append("damaged", Message.user("x"))
    damage_message(tmp_path / "damaged.json")
    async with open_store(tmp_path) as store:
        for each in (await store.runs.list()).items:
            await store.runs.upsert(msgspec.structs.replace(each, status="done"))
        purged = await store.purge_threads(2**50, resource_id="bob")
        assert purged == PurgedThreads()
        erased = await store.erase("ann")
        assert (erased.threads, erased.runs, erased.unreadable) == (2, 2, ("damaged.json",))
        purged = await store.purge_threads(2**50)
        assert purged == PurgedThreads(active=1, unreadable=("damaged.json",))


@every_kind
@pytest.mark.parametrize(
    ("kind", "gone"),
    [("thread", {"whole", "below"}), ("child", {"damaged"}), ("run", {"below", "damaged"})],
)
async def test_a_purge_leaves_what_a_damaged_record_may_need(
    store_url: str, kind: str, gone: set[str]
) -> None:
    async with open_store(store_url) as store:
        await fill(store)
        for each in (await store.runs.list()).items:
            await store.runs.upsert(msgspec.structs.replace(each, status="done"))
        await store.mailboxes.ensure("damaged")
    name = damage(store_url, kind)
    if (Path(store_url) / "_treadle").exists():
        gone = set()  # only a record itself says whose it is
    async with open_store(store_url) as store:
        before = set((await store.threads.list()).items)
        purged = await store.purge_threads(2**50)
        assert purged.unreadable == (name,)
        assert set((await store.threads.list()).items) == before - gone
        assert purged.threads == len(gone)


@every_kind
async def test_a_purge_goes_on_behind_a_mailbox_that_it_cannot_read(store_url: str) -> None:
    async with open_store(store_url) as store:
        for thread_id in ("damaged", "later"):
            await store.threads.create(Thread(id=thread_id))
            await store.mailboxes.ensure(thread_id)
    name = damage(store_url, "mailbox")
    async with open_store(store_url) as store:
        purged = await store.purge_threads(2**50)
        assert purged == PurgedThreads(threads=1, mailboxes=1, active=1, unreadable=(name,))
        assert (await store.threads.list()).items == ("damaged",)
