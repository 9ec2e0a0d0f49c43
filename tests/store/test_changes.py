"""Hints at the façade: who listens hears of every change, in whichever process, and then ends."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.marks import every_backend
from treadle import Hint, InvalidId, Message, RunRecord, Store, StoreClosed, Thread, open_store
from treadle.backends.memory import MemoryBackend
from treadle.core.hints import ANYTHING
from treadle.testing._harness.listening import Listener, listening

SOON_SECONDS = 10
QUIET_SECONDS = 0.15
MESSAGE = Message(role="user", content="hi")


def thread(name: str) -> Hint:
    return Hint(kind="thread", id=name)


def mailbox(name: str) -> Hint:
    return Hint(kind="mailbox", id=name)


@asynccontextmanager
async def heard_by(
    store: Store, *, thread_id: str | None = None, mailbox_id: str | None = None
) -> AsyncGenerator[Listener[Hint]]:
    """Listen during the block; it begins once the hints have come that come at the start."""
    async with listening(store.changes(thread_id=thread_id, mailbox_id=mailbox_id)) as heard:
        await heard.until(lambda hints: ANYTHING in hints)
        notices = getattr(store._backend, "_notices", None)
        if notices is not None:  # PostgreSQL says "anything" once more, once it hears others
            async with asyncio.timeout(SOON_SECONDS):
                while not notices.is_listening.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        await heard.until_quiet()
        yield heard


async def until(heard: Listener[Hint], *wanted: Hint) -> None:
    """Return once hints have come, and forget all."""
    await heard.until(lambda hints: set(wanted) <= set(hints))
    heard.items.clear()


@every_backend
async def test_the_first_hint_comes_at_once(store: Store) -> None:
    hints = store.changes(thread_id="t")
    async with asyncio.timeout(SOON_SECONDS):
        assert await anext(hints) == ANYTHING
    await hints.aclose()


@every_backend
async def test_every_kind_of_change_gives_a_hint(store: Store) -> None:
    async with heard_by(store) as heard:
        await store.threads.create(Thread(id="t"))
        await until(heard, thread("t"))
        await store.threads.append("t", MESSAGE)
        await until(heard, thread("t"))
        await store.threads.update("t", metadata={"title": "Hi"})
        await until(heard, thread("t"))
        await store.runs.upsert(RunRecord(run_id="r", thread_id="t"))
        await until(heard, Hint(kind="run", id="r"), thread("t"))
        await store.mailboxes.send("box", 1)
        await until(heard, mailbox("box"))
        (claimed,) = await store.mailboxes.claim(consumer="c")
        await until(heard, mailbox("box"))
        await store.mailboxes.ack(claimed)
        await until(heard, mailbox("box"))
        await store.documents.put("notes", "a", 1)
        await until(heard, Hint(kind="collection", id="notes"))
        await store.threads.delete("t")
        await until(heard, thread("t"))


@every_backend
async def test_who_listens_to_a_thread_or_a_mailbox_hears_of_no_other(store: Store) -> None:
    for name in ("mine", "other"):
        await store.threads.create(Thread(id=name))
    async with heard_by(store, thread_id="mine", mailbox_id="box") as heard:
        await store.threads.append("other", MESSAGE)
        await store.mailboxes.send("another", 1)
        await store.runs.upsert(RunRecord(run_id="r", thread_id="mine"))
        await store.mailboxes.send("box", 1)
        assert set(await heard.until_quiet()) == {thread("mine"), mailbox("box")}


@every_backend
async def test_a_change_of_another_handle_gives_a_hint(store: Store, store_url: str) -> None:
    if not store.capabilities.shared:
        return
    async with open_store(store_url) as other, heard_by(store, thread_id="t") as heard:
        await other.threads.create(Thread(id="t"))
        await until(heard, thread("t"))


@every_backend
async def test_a_write_that_fails_gives_no_hint(store: Store) -> None:
    async with heard_by(store) as heard:
        async with store.batch() as step:
            step.threads.delete("nobody's")
        with pytest.raises(InvalidId):
            await store.threads.delete("a/b")
        assert await heard.until_quiet() == []


@every_backend
async def test_a_reader_that_does_not_ask_keeps_each_hint_once(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    hints = store.changes(thread_id="t")
    await anext(hints)
    await asyncio.sleep(QUIET_SECONDS)
    for _ in range(20):
        await store.threads.append("t", MESSAGE)
    async with listening(hints) as heard:
        assert set(found := await heard.until_quiet()) <= {thread("t"), ANYTHING}
        assert len(found) <= 2


@every_backend
async def test_a_reader_that_is_slow_keeps_few_hints(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.backends._hints.MOST_HINTS", 20)
    hints = store.changes()
    await anext(hints)
    for number in range(30):
        await store.mailboxes.send(f"box{number}", 1)
    await asyncio.sleep(QUIET_SECONDS)
    async with listening(hints) as heard:
        found = await heard.until_quiet()
    assert ANYTHING in found
    assert len(found) <= 20


@every_backend
async def test_one_who_listens_ends_when_the_store_is_closed(store_url: str) -> None:
    async with open_store(store_url) as store, listening(store.changes()) as heard:
        await until(heard, ANYTHING)
        await store.close()
        await heard.until_end()


@every_backend
async def test_a_store_that_is_closed_gives_no_hints(store_url: str) -> None:
    store = open_store(store_url)
    with pytest.raises(StoreClosed):
        await anext(store.changes())


class WithoutHints:
    """A backend of somebody else's, which gives no hints."""

    capabilities = MemoryBackend.capabilities

    def __init__(self) -> None:
        backend = MemoryBackend()
        self.open, self.close, self.wait = backend.open, backend.close, backend.wait
        self.commit, self.claim, self.read = backend.commit, backend.claim, backend.read


async def test_a_backend_without_hints_is_followed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("treadle.store.changes.POLL_SECONDS", 0.05)
    async with (
        Store(WithoutHints()) as store,
        listening(store.changes(mailbox_id="box")) as heard,
    ):
        await store.threads.create(Thread(id="t"))
        async with listening(store.threads.follow("t", 0)) as follower:
            await store.threads.append("t", MESSAGE)
            await follower.until(lambda items: len(items) == 1)
            await store.threads.append("t", MESSAGE)
            await follower.until(lambda items: len(items) == 2)
        heard.items.clear()
        await heard.until(lambda hints: len(hints) > 2)
        assert set(heard.items) == {ANYTHING}
        await store.close()
        await heard.until_end()


def test_an_id_is_checked_before_anybody_listens() -> None:
    with pytest.raises(InvalidId):
        open_store("memory:").changes(thread_id="a/b")


@every_backend
@pytest.mark.parametrize("how", ["cancelled", "dropped", "closed"])
async def test_nothing_is_left_of_one_who_has_listened(store: Store, how: str) -> None:
    backend: Any = store._backend
    hints = store.changes(thread_id="t")
    await anext(hints)
    await asyncio.sleep(QUIET_SECONDS)
    assert len(backend._hints._audiences) == 1
    match how:
        case "cancelled":
            async with listening(hints):
                await asyncio.sleep(0)
        case "closed":
            await hints.aclose()
    del hints
    gc.collect()
    async with asyncio.timeout(SOON_SECONDS):
        while backend._hints._audiences or backend._watch._lookers:  # noqa: ASYNC110
            await asyncio.sleep(0)


@every_backend
async def test_a_thousand_listeners_share_one_look_and_no_task(store: Store) -> None:
    backend: Any = store._backend
    tasks = len(asyncio.all_tasks())
    listeners = [store.changes(thread_id=f"t{number}") for number in range(1_000)]
    for hints in listeners:
        assert await anext(hints) == ANYTHING
    assert len(backend._watch._lookers) <= 1
    assert len(asyncio.all_tasks()) == tasks
    await asyncio.sleep(QUIET_SECONDS)
    async with listening(listeners.pop(500)) as heard:
        await store.threads.create(Thread(id="t500"))
        await until(heard, thread("t500"))
    for hints in listeners:
        await hints.aclose()
