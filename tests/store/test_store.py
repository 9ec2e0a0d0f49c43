"""The store itself: opened and closed."""

import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.marks import every_backend
from treadle import RunRequest, Store, StoreClosed, Thread, open_store
from treadle.store.mailboxes import Mailboxes
from treadle.store.runs import Runs
from treadle.store.threads import Threads
from treadle.testing._harness.builders import entry, run, says

ARGUMENTS: dict[str, Any] = {
    "thread": Thread(id="t"),
    "thread_id": "t",
    "changes": says("x"),
    "expected": 0,
    "after_version": 0,
    "run": run("r"),
    "run_id": "r",
    "mailbox_id": "box",
    "payload": None,
    "dedupe_key": "k",
    "entry": entry("e", status="claimed", claim_token="token"),
    "entry_id": "e",
    "entry_ids": ["e"],
    "consumer": "w",
    "reason": "newer",
    "ended_before": 1,
    "timeout_ms": 1,
    "source": "t",
    "new": "t2",
    "by": "agent",
}
METHODS = [
    (part, name, method)
    for part, kind in (("threads", Threads), ("runs", Runs), ("mailboxes", Mailboxes))
    for name, method in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_")
]


async def test_its_text_says_which_store_it_is() -> None:
    secret = open_store("postgresql://anna:secret@host/agents?schema=x")
    assert repr(secret).startswith("<Store at postgresql://anna")
    assert "secret" not in repr(secret)
    store = open_store("memory:")
    assert repr(store) == "<Store at memory:, closed>"
    async with store:
        assert repr(store) == "<Store at memory:, open>"


@pytest.mark.parametrize("url", ["./agents", "sqlite:///agents.db"])
def test_the_text_of_a_store_has_its_path(url: str) -> None:
    assert "agents" in repr(open_store(url))


def call(store: Store, part: str, name: str, method: Any) -> Any:
    """Call a method with good values for the arguments that it must have."""
    if name == "append":
        return store.threads.append("t", says("x"))
    if name == "request":
        return store.runs.request(RunRequest(agent_id="a", thread_id="t", run_id="r"))
    needed = {
        key: ARGUMENTS[key]
        for key, parameter in inspect.signature(method).parameters.items()
        if parameter.default is inspect.Parameter.empty and key != "self"
    }
    if name == "truncate":
        needed["keep"] = 1
    if name == "enqueue":
        needed["entry"] = entry("new")
    return getattr(getattr(store, part), name)(**needed)


def test_the_methods_are_found() -> None:
    assert len(METHODS) == 17 + 12 + 37


@every_backend
async def test_a_store_that_is_not_opened_refuses_every_call(store_url: str) -> None:
    store = open_store(store_url)
    for part, name, method in METHODS:
        with pytest.raises(StoreClosed, match="open it with `async with"):
            called = call(store, part, name, method)
            await (anext(called) if isinstance(called, AsyncIterator) else called)


@every_backend
async def test_a_closed_store_can_be_opened_again(store_url: str) -> None:
    store = open_store(store_url)
    async with store:
        await store.threads.create(Thread(id="t"))
    async with store:
        assert (await store.threads.append("t", says("x"))).version == 1


async def test_a_store_is_closed_when_its_block_fails() -> None:
    store = open_store("memory:")
    with pytest.raises(RuntimeError, match="in the block"):
        async with store:
            raise RuntimeError("in the block")
    with pytest.raises(StoreClosed):
        await store.threads.list()
