"""Runs over HTTP, as tirea has them."""

import asyncio

import httpx
import pytest

import treadle
import treadle.http
from tests.http.clients_in_process import client_of
from tests.marks import every_backend
from treadle import MailboxEntry, Message, RunMeta, RunRecord, Thread, ThreadChangeSet
from treadle.store.store import Store


async def working(store: Store) -> str:
    """Make a run that works on an entry, and return the entry's id."""
    await store.threads.create(Thread(id="t"))
    sent = await store.mailboxes.send("t", {"text": "hi"})
    meta = RunMeta(agent_id="helper", source_mailbox_entry_id=sent.entry.entry_id)
    await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
    return sent.entry.entry_id


async def asking(store: Store, run_id: str = "r", interrupt_id: str = "i") -> None:
    """Make a run that waits for an answer after its entry was accepted."""
    await store.threads.ensure(Thread(id="t"))
    sent = await store.mailboxes.send("t", "work")
    entry = await store.mailboxes.claim_entry(sent.entry.entry_id, consumer="w")
    assert entry is not None
    meta = RunMeta(
        agent_id="helper",
        status="waiting",
        source_mailbox_entry_id=entry.entry_id,
        metadata={"interrupts": [{"id": interrupt_id}]},
    )
    async with store.batch() as step:
        step.threads.append("t", ThreadChangeSet(run_id=run_id, run_meta=meta))
        step.mailboxes.ack(entry)


async def test_a_run_is_cancelled_by_its_id_or_by_that_of_its_entry(
    admin: httpx.AsyncClient, store: Store
) -> None:
    entry_id = await working(store)
    cancelled = await admin.post("/v1/runs/r/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json() == {"status": "cancel_requested", "run_id": "r"}
    assert (await admin.get("/v1/runs/r")).json()["termination_code"] == "cancelled"
    for path in (f"/v1/runs/{entry_id}/cancel", "/v1/runs/r/cancel"):
        again = await admin.post(path)
        if again.status_code != 202:  # an entry that was cancelled stays so
            assert (again.status_code, again.json()["error"]) == (400, "run is not active")
    assert (await admin.post("/v1/runs/nothing/cancel")).status_code == 404
    await store.runs.upsert(RunRecord(run_id="alone", thread_id="t"))
    assert (await admin.post("/v1/runs/alone/cancel")).status_code == 409


async def test_an_interrupt_says_what_it_has_ended(admin: httpx.AsyncClient, store: Store) -> None:
    entry_id = await working(store)
    done = await admin.post("/v1/threads/t/interrupt", content=b"ignored")
    assert done.status_code == 202
    assert done.json() == {
        "status": "interrupt_requested",
        "thread_id": "t",
        "generation": 1,
        "cancelled_run_id": "r",
        "superseded_pending_count": 1,
        "superseded_pending_entry_ids": [entry_id],
    }
    again = (await admin.post("/v1/threads/unknown/interrupt")).json()
    assert (again["generation"], again["cancelled_run_id"]) == (1, None)


@every_backend
@pytest.mark.parametrize("path", ["/v1/threads/t/interrupt", "/v1/mailboxes/t/interrupt"])
@pytest.mark.parametrize("before", [0, 1])
async def test_interrupts_that_expect_a_generation_at_once_interrupt_once(
    store_url: str, path: str, before: int
) -> None:
    """Somebody presses three times: what is sent after the first interrupt stays."""
    async with treadle.open_store(store_url) as store:
        for _ in range(before):
            await store.mailboxes.interrupt("t")
        async with client_of(store, treadle.http.admin("ops")) as admin:

            async def press() -> httpx.Response:
                if "threads" in path:
                    return await admin.post(path, params={"expected": before})
                return await admin.post(path, json={"expected": before})

            answers = await asyncio.gather(*(press() for _ in range(3)))
            done, *others = sorted(answers, key=lambda answer: answer.status_code)
            assert done.status_code in (200, 202)
            for answer in others:
                assert answer.status_code == 409
                problem = answer.json()
                assert problem["code"] == "generation_mismatch"
                assert (problem["expected"], problem["actual"]) == (before + 1, before)
            state = await store.mailboxes.load("t")
            assert state is not None
            assert state.current_generation == before + 1


async def test_an_interrupt_ends_a_run_that_waits_for_an_answer(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await asking(store)
    done = (await admin.post("/v1/threads/t/interrupt")).json()
    assert (done["cancelled_run_id"], done["superseded_pending_count"]) == ("r", 0)
    run = (await admin.get("/v1/runs/r")).json()
    assert (run["status"], run["termination_code"]) == ("done", "superseded")


async def test_a_run_that_waits_is_cancelled_once(admin: httpx.AsyncClient, store: Store) -> None:
    await asking(store)
    await store.runs.upsert(RunRecord(run_id="by hand", thread_id="t", status="waiting"))
    for run_id in ("r", "by hand"):
        assert (await admin.post(f"/v1/runs/{run_id}/cancel")).status_code == 202
        run = (await admin.get(f"/v1/runs/{run_id}")).json()
        assert (run["status"], run["termination_code"]) == ("done", "cancelled")
        again = await admin.post(f"/v1/runs/{run_id}/cancel")
        assert (again.status_code, again.json()["code"]) == (400, "run_not_active")
    decision = {"target_id": "i", "action": "resume"}
    body = {"agentId": "helper", "threadId": "t", "decisions": [decision]}
    late = await admin.post("/v1/runs", json=body)
    assert (late.status_code, late.json()["code"]) == (409, "not_waiting")


async def test_a_paused_run_that_waits_is_cancelled_with_its_entry(
    admin: httpx.AsyncClient, store: Store
) -> None:
    sent = await store.mailboxes.send("t", "work")
    meta = RunMeta(status="waiting", source_mailbox_entry_id=sent.entry.entry_id)
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
        step.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
        step.mailboxes.pause("t")
    assert (await admin.post("/v1/runs/r/cancel")).status_code == 202
    entry = await store.mailboxes.load_entry(sent.entry.entry_id)
    assert entry is not None
    assert entry.status == "cancelled"
    assert (await admin.get("/v1/runs/r")).json()["termination_code"] == "cancelled"


async def test_a_run_that_waits_is_cancelled_although_its_entry_is_accepted_meanwhile(
    admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await store.mailboxes.send("t", "work")
    meta = RunMeta(status="waiting", source_mailbox_entry_id=sent.entry.entry_id)
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
    held = await store.mailboxes.claim_entry(sent.entry.entry_id, consumer="w")
    assert held is not None
    load = store.mailboxes.load_entry

    async def accepted_after_that(entry_id: str) -> MailboxEntry | None:
        found = await load(entry_id)
        if found is not None and found.status == "claimed":
            await store.mailboxes.ack(held)
        return found

    monkeypatch.setattr(store.mailboxes, "load_entry", accepted_after_that)
    assert (await admin.post("/v1/runs/r/cancel")).status_code == 202
    assert (await admin.get("/v1/runs/r")).json()["termination_code"] == "cancelled"


async def test_a_run_is_cancelled_by_its_id_before_it_begins(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await working(store)
    message = {"id": "m", "role": "user", "content": "and then?"}
    body = {"agentId": "other", "messages": [message], "runId": "next"}
    assert (await admin.post("/v1/runs/r/inputs", json=body)).status_code == 202
    assert (await admin.post("/v1/runs/next/cancel")).status_code == 202
    entry = await store.mailboxes.load_entry("next")
    assert entry is not None
    assert entry.status == "cancelled"


async def test_a_record_does_not_move_to_another_thread(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.runs.upsert(RunRecord(run_id="r", thread_id="t"))
    await store.threads.create(Thread(id="u"))
    changes = {"run_id": "r", "run_meta": {}}
    for moved in (
        await admin.put("/v1/runs/r", json={"thread_id": "u"}),
        await admin.post("/v1/threads/u/changes", json=changes),
    ):
        assert (moved.status_code, moved.json()["code"]) == (409, "already_exists")
    assert (await admin.get("/v1/threads/u/summary")).json()["version"] == 0
    assert (await admin.get("/v1/runs/r")).json()["thread_id"] == "t"


async def test_decisions_are_forwarded_once(admin: httpx.AsyncClient, store: Store) -> None:
    await asking(store)
    decision = {"target_id": "i", "decision_id": "d", "action": "resume", "result": {"ok": True}}
    for _ in range(2):
        given = await admin.post("/v1/runs/r/inputs", json={"decisions": [decision]})
        assert given.status_code == 202, given.text
        wanted = {"status": "decision_forwarded", "run_id": "r", "thread_id": "t"}
        assert given.json() == wanted
    payloads = [each.payload for each in (await store.mailboxes.list_entries()).items]
    [forwarded] = [each for each in payloads if "agent_id" in each]
    assert forwarded["agent_id"] == "helper"
    [answered] = forwarded["resume"]
    assert answered == {"interrupt_id": "i", "status": "resolved", "payload": {"ok": True}}


async def test_messages_begin_a_run_that_goes_on(admin: httpx.AsyncClient, store: Store) -> None:
    await working(store)
    message = {"id": "m", "role": "user", "content": "and then?"}
    body = {"agentId": "other", "messages": [message]}
    given = await admin.post("/v1/runs/r/inputs", json=body)
    wanted = {"status": "continuation_started", "parent_run_id": "r", "thread_id": "t"}
    assert (given.status_code, given.json()) == (202, wanted)
    [shown] = (await admin.get("/v1/threads/t/messages")).json()["messages"]
    assert shown["content"] == "and then?"


async def test_inputs_without_ids_are_not_taken_for_what_the_thread_has(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await working(store)
    await store.threads.append("t", Message(role="assistant", content="no id"))
    message = {"role": "user", "content": "and then?"}
    body = {"agent_id": " other ", "messages": [message], "initial_decisions": [], "run_id": "n"}
    twice = await admin.post("/v1/runs/r/inputs", json={**body, "runId": "n"})
    assert twice.status_code == 400
    for _ in range(2):
        given = await admin.post("/v1/runs/r/inputs", json=body)
        assert given.status_code == 202, given.text
    page = await store.threads.list_messages("t")
    assert [each.message.content for each in page.messages] == ["no id", "and then?"]


async def test_inputs_that_a_run_cannot_take_are_refused(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await working(store)
    message = {"role": "user", "content": "x"}
    decision = {"target_id": "i", "action": "cancel"}
    for body in ({}, {"messages": [message]}, {"agentId": " ", "messages": [message]}):
        assert (await admin.post("/v1/runs/r/inputs", json=body)).status_code == 400
    missing = await admin.post("/v1/runs/nothing/inputs", json={"decisions": [decision]})
    assert missing.status_code == 404
    await admin.post("/v1/runs/r/cancel")
    late = await admin.post("/v1/runs/r/inputs", json={"decisions": [decision]})
    assert (late.status_code, late.json()["code"]) == (400, "run_not_active")


async def test_runs_are_listed_with_the_names_of_the_reference(
    admin: httpx.AsyncClient, store: Store
) -> None:
    run = RunRecord(run_id="r", thread_id="t", origin="ag_ui", status="done", created_at=5)
    await store.runs.upsert(run)
    for query in (
        "origin=ag-ui",
        "origin=agui",
        "status=done",
        "created_at_from=5&created_at_to=5",
    ):
        assert (await admin.get(f"/v1/runs?{query}")).json()["total"] == 1
    assert (await admin.get("/v1/runs?terminationCode=%20FAILED%20")).json()["items"] == []


async def test_a_withdraw_that_finds_nothing_names_the_key(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/mailboxes/m/withdraw", json={"dedupe_key": "the-key"})
    assert answer.status_code == 404
    assert "the-key" in answer.json()["error"]


async def test_a_run_that_was_requested_says_that_it_has_not_begun(store: Store) -> None:
    for owner in ("ann", "bob"):
        wanted = treadle.RunRequest(
            agent_id="helper", thread_id=f"of {owner}", run_id=f"r-{owner}", resource_id=owner
        )
        await store.runs.request(wanted, Message.user("hi"))
    await store.mailboxes.send("of ann", 1, entry_id="other")
    async with (
        client_of(store, treadle.http.user("ann")) as client,
        client_of(store, treadle.http.admin("ops")) as admin,
    ):
        for browser in (client, admin):
            missing = await browser.get("/v1/runs/r-ann")
            assert (missing.status_code, missing.json()["code"]) == (404, "run_not_begun")
            assert "its entry is queued" in missing.json()["error"]
            entry = await browser.get("/v1/entries/r-ann")
            assert entry.json()["payload"]["agent_id"] == "helper"
        for run_id in ("r-bob", "other", "nothing"):
            missing = await client.get(f"/v1/runs/{run_id}")
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert (await admin.get("/v1/runs/r-bob")).json()["code"] == "run_not_begun"
        await store.runs.upsert(RunRecord(run_id="r-ann", thread_id="of ann"))
        assert (await client.get("/v1/runs/r-ann")).json()["run_id"] == "r-ann"
