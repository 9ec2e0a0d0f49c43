"""Two owners walk every route: neither sees, changes or even notices what is the other's.

The walk is made from the list of operations: a new one is walked, or this test fails.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import treadle
from tests.http.clients_in_process import client_of
from treadle import (
    Message,
    NotFound,
    RunMeta,
    RunRecord,
    Thread,
    ThreadChangeSet,
    commands,
)
from treadle import http as treadle_http
from treadle.http import _ag_ui, _agent_events, _ai_sdk
from treadle.http._operation import EVENTS, Operation
from treadle.http._operations import OPERATIONS
from treadle.http._owners import ALL
from treadle.store.store import Store

SECRET = "only-for-alice"
"""Is in everything of Alice's, so that it is in every answer that shows any of it."""

EVERYTHING = treadle_http.admin("ops").can
"""An owner with all rights: what stops them is the owner rule alone."""

IDS = {
    "thread_id": "thread-of-alice",
    "run_id": "run-of-alice",
    "mailbox_id": "thread-of-alice",
    "entry_id": "",  # made by the store
    "collection": "notes",
    "agent_id": "helper",
    "chat_id": "thread-of-alice",
}

BODIES: dict[str, Any] = {
    "PATCH /v1/threads/{thread_id}/metadata": {"title": "stolen"},
    "POST /v1/threads/{thread_id}/changes": {"messages": [{"role": "user", "content": "x"}]},
    "POST /v1/threads/{thread_id}/truncate": {"keep": 0},
    "POST /v1/runs/{run_id}/inputs": {
        "decisions": [{"target_id": "i", "decision_id": "d", "action": "resume"}]
    },
    "PUT /v1/runs/{run_id}": {"thread_id": "thread-of-alice"},
    "POST /v1/mailboxes/{mailbox_id}/entries": {"payload": 1},
    "POST /v1/mailboxes/{mailbox_id}/withdraw": {"dedupe_key": "k"},
    "POST /v1/entries/{entry_id}/supersede": {"reason": "stolen"},
    "POST /v1/entries/{entry_id}/claim": {"consumer": "bob"},
    "POST /v1/entries/{entry_id}/take": {"claim_token": "t"},
    "POST /v1/entries/{entry_id}/extend": {"claim_token": "t", "extension_ms": 1},
    "POST /v1/entries/{entry_id}/ack": {"claim_token": "t"},
    "POST /v1/entries/{entry_id}/nack": {"claim_token": "t"},
    "POST /v1/entries/{entry_id}/release": {"claim_token": "t"},
    "POST /v1/entries/{entry_id}/dead-letter": {"claim_token": "t"},
    "POST /v1/runs": {"agentId": "helper", "threadId": "thread-of-alice"},
    "POST /v1/ag-ui/agents/{agent_id}/runs": {"threadId": "thread-of-alice", "runId": "r"},
    "POST /v1/ai-sdk/agents/{agent_id}/runs": {"id": "thread-of-alice", "messages": []},
    "POST /v1/claims": {"consumer": "bob"},
    "POST /v1/batch": {"commands": [{"command": "DeleteThread", "thread_id": "thread-of-alice"}]},
    "POST /v1/erase": {"resource_id": "alice"},
    "POST /v1/purge/entries": {"ended_before": 2**62},
    "POST /v1/purge/documents": {"expired_before": 2**62},
    "POST /v1/purge/threads": {"changed_before": 2**62},
    "PUT /v1/collections/{collection}/document": {"value": "stolen"},
    "POST /v1/collections/{collection}/document/touch": {"expires_at": 1},
}

QUERIES = {
    "GET /v1/threads/{thread_id}/deltas": "after=0",
    "GET /v1/usage": "by=thread",
    "GET /v1/runs": "thread_id=thread-of-alice",
    "GET /v1/collections/{collection}/document": "key=alice&key=secret",
    "PUT /v1/collections/{collection}/document": "key=alice&key=secret",
    "DELETE /v1/collections/{collection}/document": "key=alice&key=secret",
    "POST /v1/collections/{collection}/document/touch": "key=alice&key=secret",
}

HERS_ONLY = {"POST /v1/threads"}
"""Operations that make something new, and are about nothing of Alice's."""


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


BY_PREFIX = "/v1/collections/{collection}/documents"
"""It names a collection, which is nobody's: each owner has documents in it."""

PRIVATE = [each for each in OPERATIONS if not each.owner.is_public]
NAMED = [each for each in PRIVATE if each.ids and each.path != BY_PREFIX]
LISTINGS = [each for each in PRIVATE if each not in NAMED and each.owner is not ALL]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with treadle.open_store("memory:") as opened:
        thread = Thread(id="thread-of-alice", resource_id="alice", state={"s": SECRET})
        await opened.threads.create(thread)
        sent = await opened.mailboxes.send("thread-of-alice", SECRET, dedupe_key="k")
        meta = RunMeta(
            agent_id=SECRET,
            status="waiting",
            source_mailbox_entry_id=sent.entry.entry_id,
            metadata={"interrupts": [{"id": "i"}]},
        )
        changes = ThreadChangeSet(
            run_id="run-of-alice", run_meta=meta, messages=[Message.user(SECRET)]
        )
        await opened.threads.append("thread-of-alice", changes)
        await opened.documents.put("notes", ("alice", "secret"), SECRET)
        IDS["entry_id"] = sent.entry.entry_id
        yield opened


def request_of(operation: Operation, ids: dict[str, str]) -> tuple[str, Any]:
    """Return the URL and the body of a call that works for the owner of the ids."""
    name = name_of(operation)
    path = re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], operation.path)
    query = QUERIES.get(name)
    return (f"{path}?{query}" if query else path), BODIES.get(name, {})


def owner(name: str) -> treadle_http.Principal:
    return treadle_http.Principal(id=name, owner=name, can=EVERYTHING)


async def dump(store: Store) -> str:
    """Everything in a store, as text."""
    head = await store.threads.load("thread-of-alice")
    found = (
        head,
        await store.runs.load("run-of-alice"),
        await store.mailboxes.load("thread-of-alice"),
        await store.mailboxes.list_entries(),
        await store.documents.list("notes"),
        await store.threads.list(),
        await store.runs.list(),
    )
    return repr(found)


async def call(client: httpx.AsyncClient, method: str, url: str, body: Any) -> httpx.Response:
    return await client.request(method, url, json=None if method in ("GET", "HEAD") else body)


@pytest.mark.parametrize("operation", NAMED, ids=name_of)
async def test_what_is_anothers_does_not_exist(operation: Operation, store: Store) -> None:
    url, body = request_of(operation, IDS)
    missing_url, _ = request_of(operation, dict.fromkeys(IDS, "nothing-has-this-id"))
    before = await dump(store)
    async with client_of(store, owner("bob")) as bob:
        for method in [operation.method, *(["HEAD"] if operation.method == "GET" else [])]:
            answer = await call(bob, method, url, body)
            if operation.path.endswith("/agents/{agent_id}/runs"):  # it creates what is missing
                assert answer.status_code == 404
                continue
            missing = await call(bob, method, missing_url, body)
            # 403, "this is about all owners", says nothing about what exists
            assert answer.status_code == (403 if operation.owner is ALL else 404), answer.text
            assert answer.status_code == missing.status_code
            assert SECRET not in answer.text
            if method != "HEAD":
                assert shape(answer) == shape(missing)
    assert await dump(store) == before


def shape(answer: httpx.Response) -> tuple[int, Any, Any]:
    body = answer.json()
    return answer.status_code, body["code"], sorted(body)


@pytest.mark.parametrize("operation", LISTINGS, ids=name_of)
async def test_a_listing_has_nothing_of_anothers(operation: Operation, store: Store) -> None:
    url, body = request_of(operation, IDS)
    before = await dump(store)
    async with client_of(store, owner("bob")) as bob:
        answer = await call(bob, operation.method, url, body)
        if answer.status_code == 404:  # it names a thread of Alice's, as the answer does
            assert answer.json()["error"] == str(NotFound("thread", "thread-of-alice"))
        elif name_of(operation) in HERS_ONLY:
            assert answer.json()["resource_id"] == "bob"
            return
        else:
            assert answer.status_code == 200, answer.text
            assert "of-alice" not in answer.text
        assert SECRET not in answer.text
        foreign = f"{url}{'&' if '?' in url else '?'}resource_id=alice"
        assert (await call(bob, operation.method, foreign, body)).status_code in (400, 403)
    assert await dump(store) == before


@pytest.mark.parametrize("operation", [each for each in PRIVATE if each.owner is ALL], ids=name_of)
async def test_what_is_about_all_owners_is_refused_to_each(
    operation: Operation, store: Store
) -> None:
    url, body = request_of(operation, IDS)
    before = await dump(store)
    async with client_of(store, owner("alice")) as alice:
        answer = await call(alice, operation.method, url, body)
    assert answer.status_code == 403, answer.text
    assert await dump(store) == before


@pytest.mark.parametrize("operation", NAMED, ids=name_of)
async def test_the_walk_calls_each_route_so_that_it_works_for_its_owner(
    operation: Operation, store: Store
) -> None:
    if operation.owner is ALL or EVENTS in operation.answers.values():
        return
    url, body = request_of(operation, IDS)
    async with client_of(store, owner("alice")) as alice:
        answer = await call(alice, operation.method, url, body)
    assert answer.status_code in operation.answers, answer.text
    if operation.method == "GET" and operation.path not in NOT_SECRET:
        assert SECRET in answer.text


NOT_SECRET = {
    "/v1/threads/{thread_id}/summary",
    "/v1/mailboxes/{mailbox_id}",
    "/v1/mailboxes/{mailbox_id}/stats",
}
"""What has no text of Alice's in it."""


# --- what is named in bodies and queries ----------------------------------------------------------

STEALING = [
    ("POST", "/v1/threads", {"resource_id": "alice"}, 403),
    ("POST", "/v1/threads", {"parent_thread_id": "thread-of-alice"}, 404),
    ("POST", "/v1/threads", {"id": "thread-of-alice"}, 409),
    ("POST", "/v1/threads", {"id": "thread-of-alice", "if_exists": "keep"}, 409),
    ("PATCH", "/v1/threads/mine", {"resource_id": "alice"}, 403),
    ("PATCH", "/v1/threads/mine", {"resource_id": None}, 403),
    ("PATCH", "/v1/threads/mine", {"parent_thread_id": "thread-of-alice"}, 404),
    ("POST", "/v1/threads/mine/fork", {"resource_id": "alice"}, 403),
    ("POST", "/v1/threads/mine/fork", {"new": "thread-of-alice"}, 409),
    ("POST", "/v1/threads/mine/changes", {"run_id": "run-of-alice"}, 404),
    ("POST", "/v1/threads/mine/changes", {"run_id": "r", "parent_run_id": "run-of-alice"}, 404),
    (
        "POST",
        "/v1/threads/mine/changes",
        {"run_id": "r", "run_meta": {"parent_thread_id": "thread-of-alice"}},
        404,
    ),
    (
        "POST",
        "/v1/threads/mine/changes",
        {"run_id": "r", "run_meta": {"source_mailbox_entry_id": "entry_id"}},
        404,
    ),
    ("POST", "/v1/runs", {"agentId": "a", "context_id": " thread-of-alice "}, 404),
    ("POST", "/v1/runs", {"agentId": "a", "resourceId": "alice"}, 403),
    ("POST", "/v1/runs", {"agentId": "a", "runId": "run-of-alice"}, 404),
    ("POST", "/v1/runs", {"agentId": "a", "threadId": "mine", "taskId": "run-of-alice"}, 404),
    ("POST", "/v1/runs", {"agentId": "a", "parentRunId": "run-of-alice"}, 404),
    ("POST", "/v1/runs", {"agentId": "a", "parentThreadId": "thread-of-alice"}, 404),
    ("PUT", "/v1/runs/run-of-alice", {"thread_id": "mine"}, 404),
    ("PUT", "/v1/runs/r", {"thread_id": "thread-of-alice"}, 404),
    ("PUT", "/v1/runs/r", {"thread_id": "mine", "parent_run_id": "run-of-alice"}, 404),
    ("GET", "/v1/runs", None, 403),
    ("GET", "/v1/search/runs?thread_id=thread-of-alice", None, 200),
    ("GET", "/v1/usage?by=owner&thread_id=thread-of-alice", None, 200),
    ("GET", "/v1/stats/runs?thread_id=thread-of-alice", None, 200),
    ("GET", "/v1/search/threads?parent_thread_id=thread-of-alice", None, 200),
    ("GET", "/v1/collections/notes/documents?prefix=alice", None, 403),
    ("GET", "/v1/collections/notes/documents?after=alice", None, 200),
    ("DELETE", "/v1/collections/notes/documents?after=alice", None, 200),
    ("PUT", "/v1/collections/notes/document?key=", {"value": 1}, 404),
]


@pytest.mark.parametrize(("method", "url", "body", "status"), STEALING)
async def test_nobody_gets_at_anothers_by_naming_it(
    method: str, url: str, body: Any, status: int, store: Store
) -> None:
    await store.threads.create(Thread(id="mine", resource_id="bob"))
    before = await dump(store)
    text = json.dumps(body).replace('"entry_id"', f'"{IDS["entry_id"]}"')
    async with client_of(store, owner("bob")) as bob:
        answer = await call(bob, method, url, None if body is None else json.loads(text))
    assert answer.status_code == status, answer.text
    assert SECRET not in answer.text
    assert await dump(store) == before


async def test_an_entry_with_the_id_of_anothers_run_does_not_cancel_that(store: Store) -> None:
    await store.threads.create(Thread(id="mine", resource_id="bob"))
    await store.commit((commands.Send(mailbox_id="mine", entry_id="run-of-alice", payload=1),))
    before = await dump(store)
    async with client_of(store, owner("bob")) as bob:
        answer = await bob.post("/v1/runs/run-of-alice/cancel")
    assert answer.status_code == 404, answer.text
    assert await dump(store) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/ag-ui/agents/helper/runs", {"threadId": "new", "runId": "r"}),
        ("/v1/ai-sdk/agents/helper/runs", {"id": "new", "runId": "r", "messages": []}),
        ("/v1/runs", {"agentId": "helper", "threadId": "new"}),
    ],
)
async def test_a_run_on_a_thread_that_another_owner_has_just_created_is_refused(
    path: str, body: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create_meanwhile(*_: Any) -> None:
        await store.threads.create(Thread(id="new", resource_id="alice"))

    for module in (_ag_ui, _ai_sdk, _agent_events):
        monkeypatch.setattr(module, "require_own_request", create_meanwhile)
    async with client_of(store, owner("bob")) as bob:
        answer = await bob.post(path, json=body)
    assert answer.status_code == 404, answer.text
    assert (await store.mailboxes.count_entries(mailbox_id="new")).queued == 0


@pytest.mark.parametrize("left", ["mailbox", "run"])
async def test_a_new_thread_brings_its_owner_nothing_that_was_there_before(
    left: str, store: Store
) -> None:
    if left == "mailbox":
        await store.mailboxes.send("billing", SECRET)
    else:
        await store.runs.upsert(RunRecord(run_id="old", thread_id="billing", agent_id=SECRET))
    async with client_of(store, owner("bob")) as bob:
        assert (await bob.post("/v1/threads", json={"id": "billing"})).status_code == 409
        kept = {"id": "billing", "if_exists": "keep"}
        assert (await bob.post("/v1/threads", json=kept)).status_code == 409
        await bob.post("/v1/threads", json={"id": "mine"})
        assert (await bob.post("/v1/threads/mine/fork", json={"new": "billing"})).status_code == 409


async def test_a_principal_without_an_owner_is_none() -> None:
    for missing in (None, "", 0):
        with pytest.raises(ValueError, match="needs an owner"):
            treadle_http.Principal(id="x", owner=missing, can=EVERYTHING)  # type: ignore[arg-type]
