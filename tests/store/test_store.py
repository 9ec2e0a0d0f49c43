"""The store itself: opened, closed, asked what it is."""

import inspect
import os
from pathlib import Path
from typing import Any

import pytest

from weft import InvalidValue, Store, StoreClosed, Thread, open_store
from weft.core.mailboxes import MailboxEntry
from weft.store.mailboxes import Mailboxes
from weft.store.runs import Runs
from weft.store.threads import Threads
from weft.testing.builders import entry, run, says

CLAIMED = entry("e", status="claimed", claim_token="token")
ARGUMENTS: dict[str, Any] = {
    "thread": Thread(id="t"),
    "thread_id": "t",
    "changes": says("x"),
    "after_version": 0,
    "run": run("r"),
    "run_id": "r",
    "mailbox_id": "box",
    "payload": None,
    "entry": CLAIMED,
    "entry_id": "e",
    "consumer": "w",
    "reason": "newer",
    "older_than": 1,
    "timeout_ms": 1,
}
METHODS = [
    (part, name, method)
    for part, kind in (("threads", Threads), ("runs", Runs), ("mailboxes", Mailboxes))
    for name, method in inspect.getmembers(kind, inspect.iscoroutinefunction)
    if not name.startswith("_")
]


def arguments_of(name: str, method: Any) -> dict[str, Any]:
    """Good values for what a method needs."""
    needed = {
        key: ARGUMENTS[key]
        for key, parameter in inspect.signature(method).parameters.items()
        if parameter.default is inspect.Parameter.empty and key != "self"
    }
    if name == "enqueue":
        needed["entry"] = entry("new")
    return needed


def test_the_methods_are_found() -> None:
    assert len(METHODS) == 9 + 5 + 22


@pytest.mark.parametrize(
    ("part", "name", "method"), METHODS, ids=[f"{part}.{name}" for part, name, _ in METHODS]
)
async def test_a_closed_store_refuses_every_call(
    store_url: str, part: str, name: str, method: Any
) -> None:
    store = open_store(store_url)
    call = getattr(getattr(store, part), name)
    with pytest.raises(StoreClosed):
        await call(**arguments_of(name, method))
    async with store:
        pass
    with pytest.raises(StoreClosed) as caught:
        await call(**arguments_of(name, method))
    assert "async with" in str(caught.value)


async def test_a_closed_store_refuses_a_batch(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreClosed):
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
    assert step.receipt is None


async def test_a_store_is_closed_twice_without_harm(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreClosed):
        await store.threads.list()


async def test_a_store_is_closed_when_its_block_fails(store_url: str) -> None:
    store = open_store(store_url)
    with pytest.raises(RuntimeError, match="in the block"):
        async with store:
            raise RuntimeError("in the block")
    with pytest.raises(StoreClosed):
        await store.threads.list()


async def test_a_closed_store_can_be_opened_again(store_url: str) -> None:
    store = open_store(store_url)
    async with store:
        await store.threads.create(Thread(id="t"))
    async with store:
        await store.threads.append("t", says("x"))
        head = await store.threads.load("t")
    assert head is not None
    assert head.version == 1


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t", state=[1.0]))
        sent = await store.mailboxes.send("box", {"a": None})
        await store.runs.upsert(run("r"))
    async with open_store(tmp_path) as store:
        head = await store.threads.load("t")
        assert head is not None
        assert repr(head.thread.state) == "[1.0]"
        assert await store.mailboxes.load(sent.entry_id) == sent
        assert await store.runs.load("r") == run("r")


async def test_each_memory_store_is_its_own() -> None:
    async with open_store("memory:") as one, open_store("memory:") as other:
        await one.threads.create(Thread(id="t"))
        assert await other.threads.load("t") is None


def test_a_backend_says_what_it_is(tmp_path: Path) -> None:
    memory, files = open_store("memory:").capabilities, open_store(tmp_path).capabilities
    assert (memory.durable, memory.shared) == (False, False)
    assert (files.durable, files.shared) == (True, True)


@pytest.mark.parametrize("form", ["path", "text", "file:", "file://"])
async def test_a_folder_is_named_in_each_of_these_forms(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "a store"
    text = {"text": str(folder), "file:": f"file:{folder}", "file://": f"file://{folder}"}
    async with open_store(folder) as store:
        await store.threads.create(Thread(id="t"))
    async with open_store(text.get(form, folder)) as store:
        assert await store.threads.load("t") is not None
    assert os.listdir(tmp_path) == ["a store"]


@pytest.mark.parametrize("url", ["memory:", "memory://", "MEMORY:"])
async def test_memory_is_named_in_each_of_these_forms(url: str) -> None:
    async with open_store(url) as store:
        assert not store.capabilities.durable


async def test_an_entry_that_is_not_claimed_cannot_be_settled(store: Store) -> None:
    unclaimed: MailboxEntry = entry("e")
    await store.mailboxes.enqueue(unclaimed)
    for name in ("ack", "nack", "dead_letter", "release", "extend_lease"):
        with pytest.raises(InvalidValue) as caught:
            await getattr(store.mailboxes, name)(unclaimed)
        assert caught.value.where == "claim_token"
        assert "'e'" in str(caught.value)
