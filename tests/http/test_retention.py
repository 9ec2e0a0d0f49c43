"""Erasing an owner and purging old threads over HTTP: who may, and what is deleted."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.clients_in_process import client_of
from tests.marks import every_backend
from treadle import Message, Store, Thread, open_store
from treadle.http import (
    ALL_OWNERS,
    Principal,
    admin,
    chat_user,
    operator,
    user,
    viewer,
    worker,
)
from treadle.testing._harness.dump import read_everything

MAILBOXES = ["old", "busy", "of-bob"]
ERASE: tuple[str, dict[str, Any]] = ("/v1/erase", {"resource_id": "alice", "dry_run": True})
PURGE: tuple[str, dict[str, Any]] = ("/v1/purge/threads", {"changed_before": 2**62})


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with open_store(store_url) as opened:
        for thread_id in MAILBOXES:
            owner = "bob" if thread_id == "of-bob" else "alice"
            thread = Thread(id=thread_id, resource_id=owner, messages=(Message.user("hi"),))
            await opened.threads.create(thread)
        await opened.mailboxes.send("busy", 1)
        await opened.documents.put("notes", ("alice", "x"), 1)
        await opened.documents.put("notes", ("bob", "x"), 1)
        yield opened


@every_backend
async def test_a_dry_run_says_what_an_erasure_would_delete(store: Store) -> None:
    before = await read_everything(store, MAILBOXES)
    async with client_of(store, admin("ops")) as client:
        counted = await client.post(ERASE[0], json=ERASE[1])
        assert counted.status_code == 200
        assert counted.json() == {
            "threads": 2,
            "runs": 0,
            "mailboxes": 1,
            "entries": 1,
            "documents": 1,
        }
        assert await read_everything(store, MAILBOXES) == before
        erased = await client.post("/v1/erase", json={"resource_id": "alice"})
        assert erased.json() == counted.json()
    left = await store.threads.list()
    assert left.items == ("of-bob",)


@every_backend
async def test_old_threads_are_purged(store: Store) -> None:
    now = time.time_ns() // 1_000_000
    async with client_of(store, admin("ops")) as client:

        async def purge(**body: Any) -> dict[str, Any]:
            answer = await client.post(PURGE[0], json=body)
            assert answer.status_code == 200, answer.text
            purged: dict[str, Any] = answer.json()
            return purged

        nothing = {"threads": 0, "runs": 0, "mailboxes": 0, "entries": 0, "active": 0}
        assert await purge(changed_before=now - 3_600_000) == nothing
        later = now + 3_600_000
        mine = await purge(changed_before=later, resource_id="alice")
        assert mine == {**nothing, "threads": 1, "active": 1}
        at_once = await asyncio.gather(*(purge(changed_before=later) for _ in range(3)))
        assert sum(each["threads"] for each in at_once) == 1
        assert {each["active"] for each in at_once} == {1}
    assert (await store.threads.list()).items == ("busy",)


@pytest.mark.parametrize(
    "principal",
    [
        chat_user("alice"),
        user("alice"),
        viewer("v"),
        operator("o"),
        worker("w"),
        Principal(id="p", owner=ALL_OWNERS, can=frozenset({"purge", "read"})),
        Principal(id="p", owner=ALL_OWNERS, can=frozenset({"delete", "read"})),
        Principal(id="alice", owner="alice", can=admin("ops").can),
    ],
    ids=lambda each: f"{each.id} {len(each.can)}",
)
@pytest.mark.parametrize(("path", "body"), [ERASE, PURGE], ids=["erase", "purge"])
async def test_nobody_else_may(
    store: Store, principal: Principal, path: str, body: dict[str, Any]
) -> None:
    before = await read_everything(store, MAILBOXES)
    async with client_of(store, principal) as client:
        assert (await client.post(path, json=body)).status_code == 403
    async with client_of(store, admin("ops"), read_only=True) as client:
        assert (await client.post(path, json=body)).status_code == 403
    assert await read_everything(store, MAILBOXES) == before
