"""The AI SDK's stream: what `useChat` sends and gets; the real client is in `clients`."""

import json
from typing import Any

import pytest

import treadle.http
from tests.http.agent import RECOUNTED
from tests.http.streams_in_process import streaming
from tests.http.test_ag_ui import app_of, refused, working
from treadle import Message, Store, Thread, ToolCall
from treadle.http import App, Limits, admin, everyone, user
from treadle.http._ai_sdk_messages import read_messages

RUNS = "/v1/ai-sdk/agents/helper/runs"


def says(text: str, name: str = "") -> dict[str, Any]:
    return {"id": name or f"m-{text}", "role": "user", "parts": [{"type": "text", "text": text}]}


def asked(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "t", "messages": list(messages), "trigger": "submit-message", **more}


async def chunks_of(app: App, given: dict[str, Any]) -> list[dict[str, Any]]:
    async with streaming(app, RUNS, method="POST", body=given) as stream:
        # [DONE] is no JSON object
        await stream.until(lambda stream: stream.has_ended)
        assert stream.status == 200, stream.body
        assert stream.headers["x-vercel-ai-ui-message-stream"] == "v1"
        chunks = [event.data for event in stream.events]
        assert chunks.pop() == ["DONE"]
        return chunks


async def test_a_run_is_a_message_of_steps(store: Store) -> None:
    async with working(store):
        chunks = await chunks_of(app_of(store), asked(says("weather"), runId="r"))
    assert chunks[0] == {"type": "start", "messageId": "r"}
    assert [chunk["type"] for chunk in chunks].count("start-step") == 2
    assert [chunk["type"] for chunk in chunks].count("finish-step") == 2
    assert chunks[-1] == {"type": "finish"}
    called = next(chunk for chunk in chunks if chunk["type"] == "tool-input-available")
    assert (called["toolName"], called["input"]) == ("weather", {"city": "Rome"})
    assert {"type": "tool-output-available", "toolCallId": "call-1", "output": {"sky": "blue"}} in (
        chunks
    )


async def test_a_state_that_changes_comes_as_a_whole(store: Store) -> None:
    async with working(store):
        chunks = await chunks_of(app_of(store), asked(says("recount")))
    states = [each["data"] for each in chunks if each["type"] == "data-state"]
    assert (len(states), states[-1]) == (2, RECOUNTED)


async def test_a_run_is_not_repeated_but_shown_again(store: Store) -> None:
    async with working(store):
        app = app_of(store)
        await chunks_of(app, asked(says("hello"), runId="r"))
        chunks = await chunks_of(app, asked(says("hello"), runId="r"))
    assert [chunk["delta"] for chunk in chunks if "delta" in chunk] == ["Hello there"]
    assert len((await store.mailboxes.list_entries(mailbox_id="t")).items) == 1


async def test_to_regenerate_removes_the_answer(store: Store) -> None:
    async with working(store):
        app = app_of(store)
        await chunks_of(app, asked(says("hello")))
        again = asked(says("hello"), trigger="regenerate-message", messageId="x")
        chunks = await chunks_of(app, again)
    assert "data-outdated" not in [chunk["type"] for chunk in chunks]
    page = await store.threads.list_messages("t")
    assert [each.message.content for each in page.messages] == ["hello", "Hello there"]


async def test_a_run_that_goes_on_is_followed_from_its_beginning(store: Store) -> None:
    app = app_of(store)
    async with streaming(app, f"{RUNS}/t/stream") as stream:
        await refused(stream, 204)
    async with streaming(app, RUNS, method="POST", body=asked(says("weather"))) as stream:
        await stream.until_events(1)
    for noun in ("runs", "chats"):
        path = f"/v1/ai-sdk/agents/helper/{noun}/t/stream"
        async with streaming(app, path) as stream:
            assert (await stream.until_events(1))[0].data == {"type": "start"}
    async with streaming(app, f"{RUNS}/t/stream") as stream:
        await stream.until_events(1)
        async with working(store):
            await stream.until_end()
        types = [event.data["type"] for event in stream.events[:-1]]
    assert types[-1] == "finish"
    assert "tool-output-available" in types
    async with streaming(app, f"{RUNS}/t/stream") as stream:
        await stream.until(lambda stream: stream.has_ended)
    assert (stream.status, stream.body) == (204, b"")


async def test_a_question_for_the_headers_follows_nothing(store: Store) -> None:
    app = treadle.http.app(store, authenticate=everyone(admin("ops")), limits=Limits(streams=1))
    async with streaming(app, RUNS, method="POST", body=asked(says("hello"))) as stream:
        await stream.until_events(1)
    for method in ("HEAD", "HEAD", "GET"):
        async with streaming(app, f"{RUNS}/t/stream", method=method) as stream:
            await stream.until(lambda stream: bool(stream.status))
        assert stream.status == 200


async def test_a_chat_of_another_does_not_exist(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    app = app_of(store, user("bob"))
    async with streaming(app, RUNS, method="POST", body=asked(says("hello"))) as stream:
        await refused(stream, 404)
    async with streaming(app, f"{RUNS}/t/stream") as stream:
        await refused(stream, 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [5]},
        {"messages": [{"id": "m", "role": "robot", "parts": []}]},
        {"messages": [{"id": "m", "role": "user"}]},
        {"messages": [{"id": "m", "role": "user", "parts": [5]}]},
        {"id": ".."},
        {"runId": "a/b"},
        {"trigger": "other"},
    ],
    ids=str,
)
async def test_what_is_no_request_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    given = {**asked(says("hello")), **wrong}
    async with streaming(app_of(store), RUNS, method="POST", body=given) as stream:
        await refused(stream, 400)
    assert await store.threads.load("t") is None


def test_results_and_answers_of_the_last_message_are_read() -> None:
    def tool(state: str, **more: Any) -> dict[str, Any]:
        return {"type": "tool-f", "toolCallId": f"c-{state}", "state": state, **more}

    approval = {"id": "q", "approved": False, "reason": "no"}
    parts = [
        {"type": "step-start"},
        tool("input-available", input={}),
        tool("output-available", output={"a": 1}),
        tool("output-error", errorText="broken"),
        tool("approval-responded", approval=approval),
    ]
    said = read_messages([says("x"), {"id": "a", "role": "assistant", "parts": parts}])
    assert [message.content for message in said.messages] == ["x", '{"a":1}', '{"error":"broken"}']
    [answer] = said.answers
    assert (answer.interrupt_id, answer.payload) == ("q", {"approved": False, "reason": "no"})
    assert said.continued == "a"


def test_a_message_with_a_file_keeps_its_parts() -> None:
    file = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="}
    parts = [{"type": "text", "text": "look"}, file]
    [message] = read_messages([{"id": "m", "role": "user", "parts": parts}]).messages
    assert message.content == parts


@pytest.mark.parametrize("protocol", ["ag-ui", "ai-sdk"])
async def test_the_history_is_listed_as_the_protocol_has_it(store: Store, protocol: str) -> None:
    call = ToolCall(id="c", name="f", arguments={"a": 1})
    await store.threads.create(
        Thread(
            id="t",
            resource_id="alice",
            messages=(
                Message.user("hi", id="m1"),
                Message.internal_system("secret"),
                Message.assistant("Let me", [call], id="m2"),
                Message.tool("c", "2", id="m3"),
                Message(role="assistant", content="Two."),
            ),
        )
    )
    path = f"/v1/{protocol}/threads/t/messages"
    async with streaming(app_of(store, user("alice")), path) as stream:
        await stream.until(lambda stream: stream.has_ended)
    listed = json.loads(stream.body)
    assert b"secret" not in stream.body
    assert (listed["has_more"], listed["next_cursor"]) == (False, 4)
    if protocol == "ag-ui":
        assert [each["id"] for each in listed["messages"]] == ["m1", "m2", "m3", "message-4"]
        assert listed["messages"][1]["toolCalls"][0]["function"] == {
            "name": "f",
            "arguments": '{"a":1}',
        }
    else:
        assert [each["role"] for each in listed["messages"]] == ["user", "assistant"]
        tool = listed["messages"][1]["parts"][2]
        assert (tool["type"], tool["output"]) == ("tool-f", 2)
    async with streaming(app_of(store, user("bob")), path) as stream:
        await refused(stream, 404)
