"""An erasure deletes what it can read, and names what it cannot; a purge leaves it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from treadle import CorruptRecord, RunRecord, Store, Thread, open_store
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
}
_FILES = {"thread": "damaged.json", "child": "below.json", "run": "_runs/of whole.json"}
_NAMES = {
    "thread": "thread 'damaged'",
    "child": "thread 'below'",
    "run": "run 'of whole'",
    "document": "document ('notes', 'ann', 'a')",
    "entry": "entry 'waits'",
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
    else:
        Path(store_url, _FILES[kind]).write_text("{")
        return _FILES[kind]
    return _NAMES[kind]


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


@in_databases
async def test_a_thread_whose_mailbox_has_a_damaged_entry_is_not_purged(store_url: str) -> None:
    async with open_store(store_url) as store:
        await store.threads.create(Thread(id="old"))
        await store.mailboxes.send("old", 1, entry_id="waits")
    damage(store_url, "entry")
    async with open_store(store_url) as store:
        purged = await store.purge_threads(2**50)
        assert (purged.threads, purged.active) == (0, 1)
        assert await store.threads.load("old") is not None
        with pytest.raises(CorruptRecord, match="entry 'waits'"):
            await store.mailboxes.load_entry("waits")
