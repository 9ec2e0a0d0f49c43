"""Erasing an owner: nothing of theirs can be read afterwards, neither by calls nor in the files."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.marks import every_backend
from treadle import (
    ClaimConflict,
    Erased,
    InvalidValue,
    RunRecord,
    Store,
    StoreUnavailable,
    Thread,
    open_store,
)
from treadle.backends.files.doctor import examine, move_aside
from treadle.backends.postgres.location import parse_location
from treadle.backends.sql.tables import TABLES
from treadle.commands import CountTokens, DeleteMailbox, DeleteThread
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.testing._harness.builders import says
from treadle.testing.clock import ManualClock

WORD = "quizzaciously"


def contents(store_url: str, tmp_path: Path) -> Iterator[bytes]:
    """What somebody finds who looks at the store without Treadle."""
    if store_url.startswith("postgresql"):
        location = parse_location(store_url)
        with psycopg.connect(location.conninfo) as connection:
            for table in TABLES:
                query = location.qualify(f"COPY (SELECT * FROM {table}) TO STDOUT")
                with connection.cursor().copy(query.encode()) as copy:
                    yield from map(bytes, copy)
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            yield name.encode() + Path(folder, name).read_bytes()


async def fill(store: Store, owner: str, word: str) -> None:
    """Put everything that an owner may have into a store."""
    for number in range(3):
        thread_id = f"{owner}-{number}"
        await store.threads.create(Thread(id=thread_id, resource_id=owner))
        await store.threads.append(thread_id, says(f"{word} said", f"{word} removed"))
        await store.threads.truncate(thread_id, drop=1)
        await store.threads.update(thread_id, metadata={"title": word})
        run = RunRecord(run_id=f"run of {thread_id}", thread_id=thread_id, metadata=word)
        await store.runs.upsert(run)
        await store.mailboxes.send(thread_id, {"text": word}, dedupe_key=word, sender_id=word)
        await store.documents.put("notes", (thread_id, "one"), word)
        await store.documents.put("memories", (owner, str(number)), word)
    below = Thread(id=f"below {owner}", parent_thread_id=f"{owner}-0", state={"of": word})
    await store.threads.create(below)
    await store.threads.fork(f"{owner}-1", f"fork {owner}", at=1, state=word)


@every_backend
async def test_nothing_of_an_owner_is_left_anywhere(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    await fill(store, "ann", WORD)
    await fill(store, "bob", "salubrious")
    expected = Erased(threads=5, runs=3, mailboxes=3, entries=3, documents=6)
    assert await store.erase("ann", thread_documents=True) == expected
    assert not any(WORD.encode() in content for content in contents(store_url, tmp_path))
    assert [head.id for head in (await store.threads.list_summaries()).items] == [
        "below bob",
        *(f"bob-{number}" for number in range(3)),
        "fork bob",
    ]
    assert (await store.mailboxes.count_entries()).queued == 3
    assert (await store.runs.count()).running == 3
    assert len((await store.documents.list("memories")).items) == 3
    assert await store.erase("ann") == Erased()


@every_backend
async def test_a_dry_run_counts_what_an_erasure_deletes_and_deletes_nothing(store: Store) -> None:
    await fill(store, "ann", WORD)
    await fill(store, "bob", "salubrious")
    await store.documents.put("profiles", "ann", "of Ann")
    whole = await store.erase("ann", thread_documents=True, dry_run=True)
    assert whole == Erased(threads=5, runs=3, mailboxes=3, entries=3, documents=7)
    counted = await store.erase("ann", dry_run=True)
    assert (counted.documents, len(counted.left)) == (4, 3)
    assert len((await store.threads.list_summaries()).items) == 10
    assert await store.erase("ann") == counted
    assert await store.erase("ann", dry_run=True) == Erased()


async def test_a_dry_run_is_yes_or_no() -> None:
    async with open_store("memory:") as store:
        with pytest.raises(InvalidValue, match="dry_run"):
            await store.erase("ann", dry_run="no")  # type: ignore[arg-type]


@every_backend
async def test_documents_of_another_owner_who_has_the_id_of_a_thread_stay(store: Store) -> None:
    for thread_id in ("bob", "carl", "plain"):
        await store.threads.create(Thread(id=thread_id, resource_id="ann"))
    await store.documents.put("memories", ("bob", "drinks"), "tea")
    await store.documents.put("profiles", "carl", "of Carl")
    await store.documents.put("notes", ("bobby", "drinks"), "coffee")
    erased = await store.erase("ann")
    assert (erased.threads, erased.documents) == (3, 0)
    assert sorted(erased.left) == ["bob", "carl"]
    assert (await store.documents.load("memories", ("bob", "drinks"))) is not None
    assert (await store.documents.load("profiles", "carl")) is not None
    assert (await store.erase("bob")) == Erased(documents=1)
    assert (await store.erase("carl")) == Erased(documents=1)
    assert (await store.documents.load("notes", ("bobby", "drinks"))) is not None


@every_backend
async def test_documents_of_threads_go_if_the_caller_knows_whose_they_are(store: Store) -> None:
    await store.threads.create(Thread(id="chat", resource_id="ann"))
    await store.threads.create(Thread(id="below", parent_thread_id="chat"))
    await store.documents.put("notes", ("chat", "one"), 1)
    await store.documents.put("notes", "below", 1)
    await store.documents.put("notes", ("other", "one"), 1)
    erased = await store.erase("ann", thread_documents=True)
    assert (erased.documents, erased.left) == (2, ())
    assert len((await store.documents.list("notes")).items) == 1


@every_backend
async def test_a_document_whose_key_is_the_owner_s_id_is_erased(store: Store) -> None:
    await store.documents.put("profiles", "ann", "of Ann")
    await store.documents.put("profiles", "anna", "of Anna")
    assert await store.erase("ann") == Erased(documents=1)
    assert [each.key for each in (await store.documents.list("profiles")).items] == [("anna",)]


@every_backend
async def test_who_works_for_the_owner_writes_nothing_more(store: Store) -> None:
    await fill(store, "ann", WORD)
    [held] = await store.mailboxes.claim(consumer="worker", mailbox_id="ann-1")
    await store.erase("ann")
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(held)
            step.threads.save(Thread(id="ann-1", resource_id="ann"))
    assert await store.threads.load("ann-1") is None


def call_before(
    kind: type[AnyCommand], call: Callable[[], Awaitable[object]], patch: pytest.MonkeyPatch
) -> None:
    """Call something before each commit of a command of a kind, as another process may."""
    commit = Store.commit

    async def call_and_commit(store: Store, batch: Commands, **options: Any) -> Receipt:
        if any(isinstance(command, kind) for command in batch):
            await call()
        return await commit(store, batch, **options)

    patch.setattr(Store, "commit", call_and_commit)


@every_backend
async def test_documents_that_are_written_until_the_mailbox_is_deleted_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, "ann", WORD)
    [held] = await store.mailboxes.claim(consumer="worker", mailbox_id="ann-1")

    async def write() -> None:
        with suppress(ClaimConflict):
            async with store.batch() as step:
                step.mailboxes.hold(held)
                step.documents.put("memories", ("ann", "late"), WORD)

    call_before(DeleteMailbox, write, monkeypatch)
    await store.erase("ann")
    assert (await store.documents.list("memories")).items == ()


@every_backend
@pytest.mark.parametrize("moment", [DeleteMailbox, DeleteThread, None])
async def test_tokens_that_a_worker_counts_meanwhile_leave_no_record(
    store: Store, moment: type[AnyCommand] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, "ann", WORD)
    [held] = await store.mailboxes.claim(consumer="worker", mailbox_id="ann-1")
    first = RunRecord(
        run_id="late", thread_id="ann-1", source_mailbox_entry_id=held.entry_id, agent_id=WORD
    )
    counted = CountTokens(run_id="late", output_tokens=5, first=first)

    async def count() -> None:
        await store.commit((counted,))

    if moment is not None:
        call_before(moment, count, monkeypatch)
    await store.erase("ann")
    await count()
    assert (await store.runs.list()).items == ()


async def test_threads_below_stay_if_they_are_somebody_else_s(store: Store) -> None:
    await store.threads.create(Thread(id="a", resource_id="ann", parent_thread_id="b"))
    await store.threads.create(Thread(id="b", parent_thread_id="a"))
    await store.threads.create(Thread(id="c", parent_thread_id="b", resource_id="bob"))
    assert (await store.erase("ann")).threads == 2
    assert await store.threads.load("c") is not None


async def test_an_erasure_that_was_interrupted_is_finished_by_the_next(store: Store) -> None:
    await fill(store, "ann", WORD)

    def stop(erased: Erased) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await store.erase("ann", report=stop)
    counts: list[int] = []
    erased = await store.erase("ann", report=lambda done: counts.append(done.threads))
    assert erased.threads == 4
    assert counts == [1, 2, 3, 4]
    assert (await store.mailboxes.list()).total == 0
    assert (await store.threads.list()).total == 0


@pytest.mark.parametrize(
    ("owner", "report", "where"),
    [("a\ud800", print, "erase.resource_id"), ("anna", 5, "erase.report")],
)
async def test_what_cannot_be_erased_or_called_is_refused_before_anything_is_deleted(
    store: Store, owner: str, report: Any, where: str
) -> None:
    await store.threads.create(Thread(id="t", resource_id="anna"))
    with pytest.raises(InvalidValue, match=where):
        await store.erase(owner, report=report)
    assert await store.threads.summary("t") is not None


async def test_an_owner_that_can_be_no_key_is_erased(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="a\nb"))
    assert (await store.erase("a\nb")).threads == 1


@pytest.mark.parametrize("kind", ["files", "sqlite"])
async def test_other_handles_go_on_after_an_erasure(tmp_path: Path, kind: str) -> None:
    urls = {"files": str(tmp_path / "store"), "sqlite": f"sqlite:///{tmp_path}/store.db"}
    clock = ManualClock()
    async with open_store(urls[kind], clock=clock) as one, open_store(urls[kind]) as other:
        await fill(other, "ann", WORD)
        await fill(one, "bob", "salubrious")
        await one.erase("ann", thread_documents=True)
        assert (await other.threads.list()).total == 5
        await other.documents.put("memories", ("bob", "new"), 1)
        assert (await one.documents.load("memories", ("bob", "new"))) is not None
        assert not any(WORD.encode() in content for content in contents(urls[kind], tmp_path))


async def test_deltas_that_a_crash_has_left_of_a_deleted_thread_are_erased(tmp_path: Path) -> None:
    deltas = tmp_path / "_treadle" / "deltas"
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="kept"))
        await store.threads.append("kept", says("kept"))
        await store.erase("nobody")
        deltas.joinpath("gone.jsonl").write_text(f'[1,2,1,[{{"content":"{WORD}"}}]]')
        await store.erase("nobody")
    assert [path.name for path in deltas.iterdir()] == ["kept.jsonl"]


async def test_a_write_beside_a_cleaning_that_fails_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path) as store:

        def fail(self: object) -> None:
            raise OSError("no space is left")

        monkeypatch.setattr("treadle.backends.files._replica.Replica.compact", fail)
        cleaning = asyncio.ensure_future(store.erase("nobody"))
        creating = asyncio.gather(
            *(store.threads.create(Thread(id=f"t{number}")) for number in range(50))
        )
        with pytest.raises(StoreUnavailable, match="no space is left"):
            await cleaning
        assert len(await creating) == 50
        assert (await store.threads.list()).total == 50


async def test_a_damaged_thread_does_not_stop_the_cleaning(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        for thread_id in ("damaged", "erased"):
            await store.threads.create(Thread(id=thread_id, resource_id=f"of {thread_id}"))
            await store.threads.append(thread_id, says("more"))
    (tmp_path / "damaged.json").write_text("{ torn")
    async with open_store(tmp_path) as store:
        assert (await store.erase("of erased")).threads == 1
    deltas = tmp_path / "_treadle" / "deltas"
    assert [path.name for path in deltas.iterdir()] == ["damaged.jsonl"]


async def test_a_file_that_keeps_deleted_lines_behind_a_damaged_one_is_named(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        await store.documents.put("notes", "bob", "his text")
        await store.documents.put("notes", "ann", "her text")
        await store.documents.put("others", "ann", "her text")
    lines = tmp_path / "_treadle" / "documents" / "notes.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"his text"', b"his text"))
    async with open_store(tmp_path) as store:
        erased = await store.erase("ann")
        assert erased.documents == 2
        assert erased.unreadable == ("_treadle/documents/notes.jsonl, byte 0",)
        assert b"her text" in lines.read_bytes()
    move_aside(tmp_path, examine(tmp_path))
    async with open_store(tmp_path) as store:
        assert (await store.erase("ann")).unreadable == ()
    assert b"her text" not in lines.read_bytes() if lines.exists() else True
