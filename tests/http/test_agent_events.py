"""tirea's stream of a run: the events that its clients read."""

import json
from typing import Any

import pytest

from tests.http.streams_in_process import streaming
from tests.http.test_ag_ui import app_of, refused, working
from treadle import Message, MessageMetadata, Store, StoreUnavailable, Thread, ToolCall
from treadle.http import App, user
from treadle.http._agent_events import Encoder
from treadle.http._run_events import MessagesAre
from treadle.worker import RunRequest

PATH = "/v1/runs"


def asked(text: str, **more: Any) -> dict[str, Any]:
    """What a client sends."""
    messages = [{"role": "user", "content": text}]
    return {"agentId": "helper", "threadId": "t", "messages": messages, **more}


async def events_of(app: App, given: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of a run."""
    async with streaming(app, PATH, method="POST", body=given) as stream:
        await stream.until_end()
        assert stream.status == 200, stream.body
        assert {(event.kind, event.id) for event in stream.events} == {(None, None)}
        return [event.data for event in stream.events]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def data(events: list[dict[str, Any]], kind: str) -> list[Any]:
    return [event.get("data") for event in events if event["type"] == kind]


class TestARun:
    async def test_a_message_is_a_step(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("hello", runId="r", parentRunId="p"))
        assert kinds(events) == [
            "run_start",
            "step_start",
            "reasoning_delta",
            *3 * ["text_delta"],
            "step_end",
            "run_finish",
        ]
        assert [event["seq"] for event in events] == list(range(8))
        assert {(event["run_id"], event["thread_id"]) for event in events} == {("r", "t")}
        assert [event.get("step_id") for event in events] == [None, *6 * ["step:0"], None]
        assert all(event["timestamp_ms"] > 0 for event in events)
        assert data(events, "run_start") == [{"parent_run_id": "p"}]
        assert data(events, "text_delta") == [{"delta": each} for each in ("Hel", "lo ", "there")]
        assert data(events, "step_end") == [None]
        finished = {
            "result": {"response": "Hello there"},
            "termination": {"type": "natural_end"},
        }
        assert data(events, "run_finish") == [finished]
        page = await store.threads.list_messages("t")
        assert data(events, "step_start") == [{"message_id": page.messages[1].message.id}]
        record = await store.runs.load("r")
        assert record is not None
        assert (record.status, record.origin, record.parent_run_id) == ("done", "user", "p")

    async def test_a_tool_is_called_and_answers(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("weather"))
        begun = {"id": "call-1", "name": "weather"}
        assert data(events, "tool_call_start") == [begun]
        assert data(events, "tool_call_ready") == [{**begun, "arguments": {"city": "Rome"}}]
        pieces = [each["args_delta"] for each in data(events, "tool_call_delta")]
        assert json.loads("".join(pieces)) == {"city": "Rome"}
        [done] = data(events, "tool_call_done")
        assert done["message_id"].endswith("-result")
        assert (done["id"], done["outcome"]) == ("call-1", "succeeded")
        assert done["result"] == {
            "tool_name": "weather",
            "status": "success",
            "data": {"sky": "blue"},
            "message": None,
            "metadata": {},
        }
        steps = [each for each in kinds(events) if each in ("step_start", "step_end")]
        assert steps == ["step_start", "step_end"] * 2
        [finished] = data(events, "run_finish")
        assert finished["result"] == {"response": "The sky is blue."}

    async def test_a_question_is_a_call_and_a_decision_answers_it(self, store: Store) -> None:
        async with working(store):
            app = app_of(store)
            waiting = await events_of(app, asked("refund", runId="r1"))
            decision = {"target_id": "may-1", "action": "resume", "result": {"approved": True}}
            answer = {"agentId": "helper", "threadId": "t", "decisions": [decision]}
            done = await events_of(app, answer)
        question = data(waiting, "tool_call_ready")[-1]
        assert (question["id"], question["name"]) == ("may-1", "tool_call")
        assert question["arguments"]["message"] == "May I refund 40 EUR?"
        assert data(waiting, "run_finish") == [{"termination": {"type": "suspended"}}]
        [finished] = data(done, "run_finish")
        assert finished["result"] == {"response": "Refunded."}
        record = await store.runs.load("r1")
        assert record is not None
        assert record.status == "done"

    async def test_a_call_that_the_client_answers_suspends_the_run(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("color"))
        assert data(events, "run_finish") == [{"termination": {"type": "suspended"}}]

    async def test_the_state_is_a_snapshot(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("count", state={"mine": 1}))
        assert data(events, "state_snapshot") == [{"snapshot": {"count": 1, "client": {"mine": 1}}}]

    async def test_what_changes_of_the_state_is_a_delta(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("recount"))
        assert len(data(events, "state_snapshot")) == 1
        [changed] = data(events, "state_delta")
        assert changed["delta"][0] == {"op": "add", "path": "/plan/steps/-", "value": "land"}

    async def test_a_run_that_fails_says_why(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("fail"))
        message = "the run has failed"
        assert kinds(events) == ["run_start", "error", "run_finish"]
        assert data(events, "error") == [{"message": message, "code": "dead_letter"}]
        [finished] = data(events, "run_finish")
        assert finished == {"termination": {"type": "error", "value": message}}

    async def test_a_run_that_is_cancelled_says_so(self, store: Store) -> None:
        app = app_of(store)
        async with streaming(app, PATH, method="POST", body=asked("hello")) as stream:
            await stream.until_events(1)
            await store.mailboxes.interrupt("t")
            events = [event.data for event in await stream.until_end()]
        assert data(events, "run_finish") == [{"termination": {"type": "cancelled"}}]

    async def test_a_stream_that_breaks_says_so(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = app_of(store)
        async with streaming(app, PATH, method="POST", body=asked("hello")) as stream:
            await stream.until_events(1)

            async def fail(*_: Any) -> Any:
                raise StoreUnavailable("/secret/path", "gone")

            monkeypatch.setattr(type(store), "read", fail)
            await store.threads.append("t", Message.user("more"))
            events = await stream.until_end()
        message = "the store is not available; try again"
        assert events[-1].data == {"type": "error", "message": message, "code": "RELAY_ERROR"}


class TestARequest:
    async def test_the_ids_are_made_if_they_are_left_out(self, store: Store) -> None:
        given = {"agent_id": " helper ", "threadId": "", "task_id": " "}
        app = app_of(store)
        async with streaming(app, PATH, method="POST", body=given) as stream:
            [begun] = await stream.until_events(1)
        [entry] = (await store.mailboxes.list_entries()).items
        request = RunRequest.of(entry)
        assert (request.agent_id, request.run_id) == ("helper", begun.data["run_id"])
        assert entry.mailbox_id == request.thread_id == begun.data["thread_id"]

    async def test_fields_have_the_names_of_the_reference(self, store: Store) -> None:
        given = {
            "agent_id": "helper",
            "contextId": "t",
            "taskId": "r",
            "parent_run_id": "p",
            "parentContextId": "parent",
            "resource_id": "alice",
        }
        async with streaming(app_of(store), PATH, method="POST", body=given) as stream:
            await stream.until_events(1)
        head = await store.threads.summary("t")
        assert head is not None
        assert (head.resource_id, head.parent_thread_id) == ("alice", "parent")
        [entry] = (await store.mailboxes.list_entries()).items
        request = RunRequest.of(entry)
        assert (request.run_id, request.parent_run_id, request.parent_thread_id) == (
            "r",
            "p",
            "parent",
        )

    async def test_a_run_is_not_repeated_but_shown_again(self, store: Store) -> None:
        async with working(store):
            app = app_of(store)
            first = await events_of(app, asked("hello", runId="r"))
            again = await events_of(app, asked("hello", runId="r"))
        assert data(again, "run_finish") == data(first, "run_finish")
        assert data(again, "text_delta") == [{"delta": "Hello there"}]
        page = await store.threads.list_messages("t")
        assert [each.message.content for each in page.messages] == ["hello", "Hello there"]

    async def test_a_run_of_many_messages_is_shown_again_as_a_whole(self, store: Store) -> None:
        of_run = MessageMetadata(run_id="r")
        many = [Message.assistant(str(number), metadata=of_run) for number in range(201)]
        async with working(store):
            app = app_of(store)
            await events_of(app, asked("hello", runId="r"))
            await store.threads.append("t", *many)
            again = await events_of(app, asked("hello", runId="r"))
        [snapshot] = data(again, "messages_snapshot")
        assert [each["content"] for each in snapshot["messages"]][-2:] == ["199", "200"]
        assert len(snapshot["messages"]) == 203
        [finished] = data(again, "run_finish")
        assert finished["result"] == {"response": "200"}

    async def test_what_is_said_is_new_also_where_a_message_has_no_id(self, store: Store) -> None:
        old = Message(role="assistant", content="old")
        await store.threads.create(Thread(id="t", messages=(old,)))
        async with working(store):
            events = await events_of(app_of(store), asked("hello"))
        assert "messages_snapshot" not in kinds(events)
        page = await store.threads.list_messages("t")
        assert [each.message.content for each in page.messages] == ["old", "hello", "Hello there"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"agentId": " "},
            {"agentId": None},
            {"agent_id": "helper"},
            {"threadId": "a/b"},
            {"runId": ".."},
            {"context_id": "t"},
            {"messages": [{"role": "robot", "content": ""}]},
            {"initialDecisions": [{"target_id": "i", "action": "other"}]},
            {"initialDecisions": [], "decisions": []},
            {"unknown": 1},
        ],
        ids=str,
    )
    async def test_what_is_no_request_is_refused(self, store: Store, wrong: dict[str, Any]) -> None:
        given = {**asked("hello"), **wrong}
        async with streaming(app_of(store), PATH, method="POST", body=given) as stream:
            await refused(stream, 400)
        assert (await store.threads.list()).total == 0

    async def test_the_owner_of_a_thread_stays_who_it_is(self, store: Store) -> None:
        await store.threads.create(Thread(id="t", resource_id="alice"))
        given = asked("hello", resourceId="bob")
        async with streaming(app_of(store), PATH, method="POST", body=given) as stream:
            await refused(stream, 400)
        app = app_of(store, user("alice"))
        mine = asked("hello", threadId="new")
        async with streaming(app, PATH, method="POST", body=mine) as stream:
            await stream.until_events(1)
        head = await store.threads.summary("new")
        assert head is not None
        assert head.resource_id == "alice"


def test_all_messages_are_those_of_the_thread_without_their_runs() -> None:
    encoder = Encoder(RunRequest(agent_id="a", thread_id="t", run_id="r"))
    call = ToolCall(id="c", name="f", arguments={})
    messages = [Message.internal_system("secret"), Message.assistant("hi", [call], id="m")]
    [event] = encoder.encode(MessagesAre(messages))
    call_shown = {"id": "c", "name": "f", "arguments": {}}
    shown = {"id": "m", "role": "assistant", "content": "hi", "tool_calls": [call_shown]}
    assert event["data"] == {"messages": [shown]}
