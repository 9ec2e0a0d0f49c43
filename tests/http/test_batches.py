"""Batches over HTTP: they take no run from another thread, and count as their clients do."""

from typing import Any

import httpx
import pytest

from treadle import RunRecord, Store, Thread

APPEND = {
    "command": "AppendThread",
    "thread_id": "t",
    "changes": {"run_id": "r", "run_meta": {"status": "done"}},
}
UPSERT = {"command": "UpsertRun", "run": {"run_id": "r", "thread_id": "t"}}
SEND = {"command": "Send", "mailbox_id": "m", "payload": 1}


async def commit(client: httpx.AsyncClient, *commands: dict[str, Any]) -> httpx.Response:
    return await client.post("/v1/batch", json={"commands": commands})


class TestRunsOfOthers:
    @pytest.mark.parametrize("writing", [APPEND, UPSERT], ids=["append", "upsert"])
    async def test_a_run_of_another_thread_is_not_taken(
        self, store: Store, admin: httpx.AsyncClient, writing: dict[str, Any]
    ) -> None:
        await store.threads.create(Thread(id="t"))
        await store.runs.upsert(RunRecord(run_id="r", thread_id="u"))
        refused = await commit(admin, SEND, writing, SEND)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")
        name = "AppendThread 't'" if writing is APPEND else "UpsertRun 'r'"
        assert refused.json()["command"] == f"command 2 of 3: {name}"
        run = await store.runs.load("r")
        assert run is not None
        assert run.thread_id == "u"
        assert not (await store.mailboxes.list_entries()).items

    async def test_a_run_of_the_thread_is_written_and_each_command_has_its_result(
        self, store: Store, admin: httpx.AsyncClient
    ) -> None:
        await store.threads.create(Thread(id="t"))
        done = await commit(admin, UPSERT, APPEND, SEND, UPSERT)
        assert done.status_code == 200, done.text
        first, appended, sent, last = done.json()["results"]
        assert (first, last) == (None, None)
        assert appended["version"] == 1
        assert sent["entry"]["mailbox_id"] == "m"

    async def test_a_run_that_is_deleted_first_can_be_of_another_thread(
        self, store: Store, admin: httpx.AsyncClient
    ) -> None:
        await store.runs.upsert(RunRecord(run_id="r", thread_id="u"))
        done = await commit(admin, {"command": "DeleteRun", "run_id": "r"}, UPSERT)
        assert done.json()["results"] == [True, None]

    async def test_what_fails_is_counted_as_its_client_does(
        self, store: Store, admin: httpx.AsyncClient
    ) -> None:
        missing = {**APPEND, "thread_id": "missing"}
        failed = await commit(admin, UPSERT, UPSERT, {**missing, "changes": {}})
        assert failed.status_code == 404
        assert failed.json()["command"] == "command 3 of 3: AppendThread 'missing'"
