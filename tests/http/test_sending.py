"""What a handler may rely on about the sender of an entry over HTTP."""

import httpx
import pytest

import treadle.http
from tests.http.conftest import Connect
from treadle import RunMeta, Store, Thread, ThreadChangeSet

PATH = "/v1/mailboxes/t/entries"


async def test_an_owner_sends_as_themselves_and_from_outside(
    alice: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    for more in ({}, {"sender_id": "alice", "origin": "external"}):
        sent = await alice.post(PATH, json={"payload": 1, **more})
        assert sent.status_code == 201, sent.text
        entry = sent.json()["entry"]
        assert (entry["sender_id"], entry["origin"]) == ("alice", "external")


@pytest.mark.parametrize("header", ["caf\u00e9".encode(), "caf\u00e9".encode("latin-1")])
async def test_an_idempotency_key_is_the_dedupe_key_that_it_says(
    admin: httpx.AsyncClient, store: Store, header: bytes
) -> None:
    await store.mailboxes.send("t", 1, dedupe_key="caf\u00e9")
    for body in ({"payload": 1}, {"payload": 1, "dedupe_key": "caf\u00e9"}):
        sent = await admin.post(PATH, json=body, headers={b"idempotency-key": header})
        assert (sent.status_code, sent.json()["was_known"]) == (200, True)


async def test_a_request_says_who_asks_and_an_answer_who_answers(
    connect: Connect, store: Store
) -> None:
    meta = RunMeta(agent_id="helper", status="waiting", metadata={"interrupts": [{"id": "q"}]})
    await store.threads.create(Thread(id="t", resource_id="alice"))
    await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
    olga = await connect(treadle.http.operator("olga"))
    yes = {"decisions": [{"target_id": "q", "action": "resume", "result": True}]}
    assert (await olga.post("/v1/runs/r/inputs", json=yes)).status_code == 202
    alice = await connect(treadle.http.user("alice"))
    said = {"agentId": "helper", "messages": [{"role": "user", "content": "hi"}]}
    assert (await alice.post("/v1/runs/r/inputs", json=said)).status_code == 202
    page = await store.mailboxes.list_entries(mailbox_id="t")
    assert [entry.sender_id for entry in page.items] == ["olga", "alice"]


@pytest.mark.parametrize("more", [{"sender_id": "olga"}, {"origin": "internal"}], ids=str)
async def test_an_owner_does_not_send_as_somebody_else(
    alice: httpx.AsyncClient, store: Store, more: dict[str, str]
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    refused = await alice.post(PATH, json={"payload": 1, **more})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    [name] = more
    assert name in refused.json()["error"]
    assert (await store.mailboxes.count_entries()).queued == 0


async def test_who_sees_all_sends_for_others(admin: httpx.AsyncClient) -> None:
    sent = await admin.post(
        PATH, json={"payload": 1, "sender_id": "research", "origin": "internal"}
    )
    entry = sent.json()["entry"]
    assert (entry["sender_id"], entry["origin"]) == ("research", "internal")
    plain = (await admin.post(PATH, json={"payload": 1})).json()["entry"]
    assert "sender_id" not in plain
