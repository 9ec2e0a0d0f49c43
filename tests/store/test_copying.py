"""Copying: between any two kinds of store, resumed where it stopped, compared at the end."""

import itertools
from pathlib import Path

import pytest

from tests.marks import every_backend
from treadle import RunMeta, Store, Thread, ThreadHead, open_store
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.commands import Commands, Receipt
from treadle.core.limits import LARGEST_TIME
from treadle.core.threads import StoredThread
from treadle.store.copying import Progress, copy_store
from treadle.testing._harness.builders import claim_one, entry, run, says, sets
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.sample_data import MAILBOXES, fill

URLS = {"memory": "memory:", "files": "{}/files", "sqlite": "sqlite:///{}/store.db"}


def without_deltas(contents: dict[str, object]) -> dict[str, object]:
    return {key: item for key, item in contents.items() if not key.startswith("deltas ")}


async def stocked(store: Store) -> None:
    """Something of everything, and mailboxes without entries."""
    await fill(store)
    await store.threads.append(
        "t", says("three", run_id="r2", run_meta=RunMeta(), patches=(sets("b", 1.0),))
    )
    await store.mailboxes.interrupt("empty")
    await store.mailboxes.send("box", None, dedupe_key="a key", delay_ms=10**6)
    await store.runs.upsert(run("r3", extra={"later": 1}))


@pytest.mark.parametrize(("source", "target"), list(itertools.product(URLS, URLS)))
async def test_a_copy_holds_the_same(tmp_path: Path, source: str, target: str) -> None:
    for end in ("from", "to"):
        (tmp_path / end).mkdir()
    one = open_store(URLS[source].format(tmp_path / "from"))
    other = open_store(URLS[target].format(tmp_path / "to"))
    async with one, other:
        await stocked(one)
        copied = await copy_store(one, other)
        assert copied.differing == ()
        boxes = (*MAILBOXES, "empty")
        expected = await read_everything(one, boxes)
        assert without_deltas(await read_everything(other, boxes)) == without_deltas(expected)
        rows = copied.threads + copied.runs + copied.mailboxes + copied.entries
        assert copied.written == rows + copied.documents
        assert copied.documents > 0
        again = await copy_store(one, other)
        assert (again.written, again.differing) == (0, ())


async def test_the_copy_goes_on_where_the_store_was() -> None:
    async with open_store("memory:") as one, open_store("memory:") as other:
        await one.threads.create(Thread(id="t"))
        await one.threads.append("t", says("x"))
        await one.mailboxes.enqueue(entry("e"))
        held = await claim_one(one)
        await copy_store(one, other)
        assert (await other.threads.append("t", says("y"), expected=1)).version == 2
        await other.mailboxes.ack(held)


async def test_only_what_differs_is_written_again() -> None:
    async with open_store("memory:") as one, open_store("memory:") as other:
        for number in range(130):
            await one.mailboxes.enqueue(entry(f"e{number:03}"))
        await copy_store(one, other)
        await one.mailboxes.cancel("e007")
        await other.threads.create(Thread(id="only here"))
        copied = await copy_store(one, other)
        assert copied.written == 1
        assert await other.mailboxes.load_entry("e007") == await one.mailboxes.load_entry("e007")
        assert await other.threads.load("only here") is not None


async def make_rows(store: Store, kind: str) -> None:
    """Make 260 rows of a kind, of which the first 100 may be deleted."""
    for number in range(260):
        match kind:
            case "thread":
                await store.threads.create(Thread(id=f"x{number:03}"))
            case "run":
                await store.runs.upsert(run(f"x{number:03}"))
            case "mailbox":
                await store.mailboxes.ensure(f"x{number:03}")
            case _:
                await store.mailboxes.enqueue(entry(f"x{number:03}"))


async def delete_first_rows(store: Store, kind: str) -> None:
    for key in [f"x{number:03}" for number in range(100)]:
        match kind:
            case "thread":
                await store.threads.delete(key)
            case "run":
                await store.runs.delete(key)
            case "mailbox":
                await store.mailboxes.delete(key)
            case _:
                await store.mailboxes.cancel(key)
    await store.mailboxes.purge(LARGEST_TIME)


@every_backend
@pytest.mark.parametrize("kind", ["thread", "run", "mailbox", "entry"])
async def test_rows_that_are_deleted_meanwhile_hide_no_others(
    store_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(store_url) as one, open_store("memory:") as other:
        await make_rows(one, kind)
        commit = other.commit

        async def commit_as_others_delete(batch: Commands) -> Receipt:
            monkeypatch.undo()
            await delete_first_rows(one, kind)
            return await commit(batch)

        monkeypatch.setattr(other, "commit", commit_as_others_delete)
        assert (await copy_store(one, other)).differing == ()


async def test_a_change_during_the_copy_is_reported() -> None:
    backend = MemoryBackend()
    async with Store(backend) as one, open_store("memory:") as other:
        for number in range(60):
            await one.threads.create(Thread(id=f"t{number:02}"))
        later = StoredThread(ThreadHead(thread=Thread(id="t00", state="later"), version=1))

        def tell(progress: Progress) -> None:
            backend.tables.threads["t00"] = later

        copied = await copy_store(one, other, tell)
        assert copied.differing == ("thread 't00'",)
        assert (await copy_store(one, other)).differing == ()
