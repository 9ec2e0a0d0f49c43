"""The trace of a request over HTTP goes on in the entry that it sends."""

from typing import Any

import httpx
import pytest

from tests.http.streams_in_process import streaming
from tests.http.test_ag_ui import app_of
from treadle import MailboxEntry, RunMeta, Store, Thread, ThreadChangeSet

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = {"traceparent": PARENT, "tracestate": "vendor=1"}
SAID = [{"id": "m", "role": "user", "content": "hi", "parts": [{"type": "text", "text": "hi"}]}]
FILLED: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
REQUESTS: dict[str, Any] = {
    "/v1/runs": {"agentId": "a", "threadId": "t", "messages": SAID[:1]},
    "/v1/ag-ui/agents/a/runs": {"threadId": "t", "runId": "r", "messages": SAID, **FILLED},
    "/v1/ai-sdk/agents/a/runs": {"id": "t", "messages": SAID},
}


async def sent(store: Store, mailbox_id: str = "t") -> MailboxEntry:
    [entry] = (await store.mailboxes.list_entries(mailbox_id=mailbox_id)).items
    return entry


@pytest.mark.parametrize("path", REQUESTS)
async def test_it_goes_on_in_a_requested_run(store: Store, path: str) -> None:
    body, app = REQUESTS[path], app_of(store)
    async with streaming(app, path, method="POST", body=body, headers=TRACE) as stream:
        await stream.until(lambda stream: stream.status != 0)
        assert stream.status == 200, stream.body
        assert (await sent(store)).headers == TRACE


async def test_it_goes_on_in_the_inputs_of_a_run(admin: httpx.AsyncClient, store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    meta = RunMeta(agent_id="a", status="waiting", metadata={"interrupts": [{"id": "q"}]})
    await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
    body = {"decisions": [{"target_id": "q", "action": "resume"}]}
    given = await admin.post("/v1/runs/r/inputs", json=body, headers=TRACE)
    assert given.status_code == 202, given.text
    assert (await sent(store)).headers == TRACE


async def test_it_goes_on_in_an_entry_that_names_no_other(
    admin: httpx.AsyncClient, store: Store
) -> None:
    path = "/v1/mailboxes/{}/entries"
    await admin.post(path.format("m"), json={"payload": 1, "headers": {"a": "b"}}, headers=TRACE)
    assert (await sent(store, "m")).headers == {**TRACE, "a": "b"}
    mine = {"traceparent": "mine"}
    await admin.post(path.format("n"), json={"payload": 1, "headers": mine}, headers=TRACE)
    assert (await sent(store, "n")).headers == mine


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "no context")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("traceparent", f"{PARENT}-{'x' * 8_192}")],
        [("tracestate", "vendor=1")],
    ],
)
async def test_what_names_no_trace_is_left_out(
    admin: httpx.AsyncClient, store: Store, headers: list[tuple[str, str]]
) -> None:
    answer = await admin.post("/v1/mailboxes/m/entries", json={"payload": 1}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert (await sent(store, "m")).headers == {}


async def test_several_states_are_one(admin: httpx.AsyncClient, store: Store) -> None:
    headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]
    await admin.post("/v1/mailboxes/m/entries", json={"payload": 1}, headers=headers)
    assert (await sent(store, "m")).headers == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
