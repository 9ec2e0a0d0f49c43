"""AG-UI: runs that a worker does, as a client sees them; the real client is in `clients`."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import treadle.http
from tests.http.agent import handle
from tests.http.streams_in_process import Stream, streaming
from treadle import Message, Store, Thread, ThreadChangeSet, patches
from treadle.backends.memory.backend import MemoryBackend
from treadle.http import App, Limits, Principal, admin, everyone, user
from treadle.testing._harness.builders import sets
from treadle.worker import Worker

PATH = "/v1/ag-ui/agents/helper/runs"


def app_of(store: Store, principal: Principal | None = None) -> App:
    return treadle.http.app(
        store, authenticate=everyone(principal or admin("ops")), limits=Limits()
    )


def asked(run_id: str, *texts: str, **more: Any) -> dict[str, Any]:
    """What a client sends that has said these texts."""
    messages = [{"id": f"m-{text}", "role": "user", "content": text} for text in texts]
    given = {"threadId": "t", "runId": run_id, "messages": messages, "tools": [], "context": []}
    return {**given, "state": {}, "forwardedProps": {}, **more}


@asynccontextmanager
async def working(store: Store) -> AsyncGenerator[None]:
    """Let a worker work during the block."""
    working = asyncio.create_task(Worker(store, handle).run())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def run(app: App, given: dict[str, Any]) -> Any:
    return streaming(app, PATH, method="POST", body=given)


async def events_of(app: App, given: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of a run."""
    async with run(app, given) as stream:
        await stream.until_end()
        assert stream.status == 200, stream.body
        return [event.data for event in stream.events]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def deltas(events: list[dict[str, Any]], kind: str = "TEXT_MESSAGE_CONTENT") -> list[str]:
    return [event["delta"] for event in events if event["type"] == kind]


def states(events: list[dict[str, Any]]) -> list[Any]:
    return [event["snapshot"] for event in events if event["type"] == "STATE_SNAPSHOT"]


def states_in(stream: Stream) -> list[Any]:
    return states([event.data for event in stream.events])


def seen_of(stream: Stream) -> list[Any]:
    return [event.data for event in stream.events]


def changes_in(stream: Stream) -> list[Any]:
    return [each["delta"] for each in seen_of(stream) if each["type"] == "STATE_DELTA"]


class TestARun:
    async def test_tokens_come_live_and_the_message_ends_them(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("r", "hello"))
        assert kinds(events) == [
            "RUN_STARTED",
            "REASONING_START",
            "REASONING_MESSAGE_START",
            "REASONING_MESSAGE_CONTENT",
            "TEXT_MESSAGE_START",
            *3 * ["TEXT_MESSAGE_CONTENT"],
            "REASONING_MESSAGE_END",
            "REASONING_END",
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ]
        assert deltas(events) == ["Hel", "lo ", "there"]
        assert events[0] == {
            "type": "RUN_STARTED",
            "threadId": "t",
            "runId": "r",
            "protocolVersion": "1.0",
        }
        assert events[-1]["outcome"] == {"type": "success"}
        page = await store.threads.list_messages("t")
        assert [each.message.content for each in page.messages] == ["hello", "Hello there"]
        assert page.messages[1].message.id == events[4]["messageId"]
        record = await store.runs.load("r")
        assert record is not None
        assert (record.status, record.origin, record.agent_id) == ("done", "ag_ui", "helper")

    async def test_a_tool_is_called_and_answers(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("r", "weather"))
        assert deltas(events) == ["Let me see. ", "The sky is blue."]
        assert json.loads("".join(deltas(events, "TOOL_CALL_ARGS"))) == {"city": "Rome"}
        [result] = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
        assert (result["toolCallId"], result["content"]) == ("call-1", '{"sky":"blue"}')
        assert "MESSAGES_SNAPSHOT" not in kinds(events)

    async def test_the_state_comes_and_the_clients_goes_to_the_worker(self, store: Store) -> None:
        async with working(store):
            app = app_of(store)
            first = await events_of(app, asked("r1", "count", state={"mine": 1}))
            await store.threads.append("t", Message.user("count", id="again"))
            second = await events_of(app, asked("r2", "count", state={"mine": 2}))
        assert states(first) == [{"count": 1, "client": {"mine": 1}}]
        assert states(second)[-1] == {"count": 2, "client": {"mine": 2}}

    async def test_a_patch_that_does_not_fit_ends_no_run(self, store: Store) -> None:
        app, broken = app_of(store), patches.track(patches.Increment(("n",), 1))
        async with working(store):
            await events_of(app, asked("r1", "hello"))
            await store.threads.append("t", ThreadChangeSet(patches=[broken]))
            events = await events_of(app, asked("r2", "hello again"))
            assert kinds(events)[-1] == "RUN_FINISHED"
            assert states(events) == []
            async with run(app, asked("r3", "slow")) as stream:
                await stream.until(lambda seen: "TEXT_MESSAGE_CONTENT" in str(seen.events))
                await store.threads.append("t", ThreadChangeSet(patches=[broken]))
                await store.threads.append("t", ThreadChangeSet(snapshot={"n": 1}))
                await store.threads.append("t", ThreadChangeSet(patches=[broken]))
                await stream.until_end()
                events = [event.data for event in stream.events]
        assert kinds(events)[-1] == "RUN_FINISHED"
        assert states(events)[-1] == {"n": 2}

    async def test_changes_that_come_together_show_the_state_once(self, store: Store) -> None:
        async with run(app_of(store), asked("r", "hello")) as stream:
            await stream.until_events(1)
            async with store.batch() as step:
                for number in (1, 2, 3):
                    step.threads.append("t", ThreadChangeSet(patches=(sets("n", number),)))
            await stream.until(lambda stream: len(states_in(stream)) >= 1)
            await store.threads.append("t", ThreadChangeSet(patches=(sets("n", 4),)))
            await stream.until(lambda stream: bool(changes_in(stream)))
            assert states_in(stream) == [{"n": 3}]
            assert changes_in(stream) == [[{"op": "replace", "path": "/n", "value": 4}]]

    async def test_a_tool_of_the_client_is_left_to_it(self, store: Store) -> None:
        async with working(store):
            app = app_of(store)
            events = await events_of(app, asked("r1", "color"))
            assert events[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["pick-1"]}
            given = asked("r2", "color")
            given["messages"] += [
                {
                    "id": "pick",
                    "role": "assistant",
                    "toolCalls": [
                        {
                            "id": "pick-1",
                            "type": "function",
                            "function": {"name": "pick", "arguments": "{}"},
                        }
                    ],
                },
                {"id": "picked", "role": "tool", "toolCallId": "pick-1", "content": "red"},
            ]
            events = await events_of(app, given)
        assert deltas(events) == ["You picked red."]
        assert (await store.threads.list_messages("t")).messages[2].message.content == "red"

    async def test_a_failure_ends_the_run(self, store: Store) -> None:
        async with working(store):
            events = await events_of(app_of(store), asked("r", "fail"))
        error = {"type": "RUN_ERROR", "message": "the run has failed", "code": "dead_letter"}
        assert events[-1] == error

    async def test_an_interrupt_of_the_mailbox_cancels_the_run(self, store: Store) -> None:
        async with working(store), run(app_of(store), asked("r", "wait")) as stream:
            await stream.until_events(1)
            await store.mailboxes.interrupt("t")
            await stream.until_end()
        assert stream.events[-1].data["outcome"] == {"type": "cancelled"}

    @pytest.mark.parametrize("is_claimed", [True, False])
    async def test_a_mailbox_that_is_deleted_with_its_work_cancels_the_run(
        self, store: Store, is_claimed: bool
    ) -> None:
        async with run(app_of(store), asked("r", "hello")) as stream:
            await stream.until_events(1)
            if is_claimed:
                await store.mailboxes.claim(consumer="w")
            await store.mailboxes.delete("t")
            events = await stream.until_end()
        assert events[-1].data["outcome"] == {"type": "cancelled"}

    async def test_a_deleted_thread_ends_the_run(self, store: Store) -> None:
        async with run(app_of(store), asked("r", "hello")) as stream:
            await stream.until_events(1)
            await store.threads.delete("t")
            await stream.until_end()
        assert stream.events[-1].data["code"] == "deleted"


class TestInterrupts:
    @pytest.mark.parametrize(("payload", "text"), [(True, "Refunded."), (False, "I have not.")])
    async def test_a_question_is_answered_by_the_next_run(
        self, store: Store, payload: bool, text: str
    ) -> None:
        async with working(store):
            app = app_of(store)
            events = await events_of(app, asked("r1", "refund"))
            [question] = events[-1]["outcome"]["interrupts"]
            assert question == {
                "id": "may-1",
                "reason": "tool_call",
                "message": "May I refund 40 EUR?",
                "toolCallId": "refund-1",
            }
            waiting = await store.runs.load("r1")
            assert waiting is not None
            assert waiting.status == "waiting"
            answer = {
                "interruptId": "may-1",
                "status": "resolved",
                "payload": {"approved": payload},
            }
            events = await events_of(app, asked("r2", "refund", resume=[answer]))
        assert text in str(events)
        answered = await store.runs.load("r1")
        assert answered is not None
        assert (answered.status, answered.termination_code) == ("done", "answered")
        assert await store.runs.find_active("t") is None

    async def test_a_turn_that_pauses_its_mailbox_goes_on_with_the_answer(
        self, store: Store
    ) -> None:
        async with working(store):
            app = app_of(store)
            events = await events_of(app, asked("r1", "pause"))
            assert deltas(events) == ["Hm."]
            [question] = events[-1]["outcome"]["interrupts"]
            assert question == {"id": "r1", "reason": "input_required", "message": "Go on?"}
            answer = {"interruptId": "r1", "status": "resolved"}
            given = asked("r2", "pause", resume=[answer])
            async with run(app, given) as stream:
                await stream.until(lambda stream: "And on." in stream.body.decode())
        first = await store.runs.load("r1")
        assert first is not None
        assert first.status == "done"


class TestAttaching:
    async def test_a_client_that_leaves_cancels_nothing(self, store: Store) -> None:
        app = app_of(store)
        async with run(app, asked("r", "hello")) as stream:
            await stream.until_events(1)
        async with working(store):
            events = await events_of(app, asked("r", "hello"))
        assert kinds(events)[:2] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
        page = await store.mailboxes.list_entries(mailbox_id="t")
        assert len(page.items) == 1

    async def test_a_run_that_has_ended_is_shown_as_a_whole(self, store: Store) -> None:
        async with working(store):
            app = app_of(store)
            await events_of(app, asked("r", "hello"))
            events = await events_of(app, asked("r", "hello"))
        assert kinds(events) == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
        said = [(each["role"], each["content"]) for each in events[1]["messages"]]
        assert said == [("user", "hello"), ("assistant", "Hello there")]

    async def test_a_client_that_lacks_messages_gets_all(self, store: Store) -> None:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", Message.assistant("Welcome", id="w"))
        await store.threads.append("t", Message.internal_system("secret"))
        async with working(store):
            events = await events_of(app_of(store), asked("r", "hello"))
        [snapshot] = [event for event in events if event["type"] == "MESSAGES_SNAPSHOT"]
        assert snapshot["messages"][0]["content"] == "Welcome"
        assert "secret" not in str(events)

    async def test_what_others_say_meanwhile_is_shown(self, store: Store) -> None:
        async with run(app_of(store), asked("r", "hello")) as stream:
            await stream.until_events(1)
            await store.threads.append("t", Message.user("me, too", id="other"))
            await stream.until(lambda stream: b"TEXT_MESSAGE_END" in stream.body)
        start = stream.events[1].data
        assert start == {"type": "TEXT_MESSAGE_START", "messageId": "other", "role": "user"}

    async def test_requests_that_create_a_thread_at_the_same_time_are_all_done(
        self, store: Store
    ) -> None:
        app = app_of(store, user("alice"))
        given = [asked(f"r{number}", f"hello {number}") for number in range(5)]
        async with working(store):
            runs = await asyncio.gather(*(events_of(app, each) for each in given))
        assert [events[-1]["type"] for events in runs] == 5 * ["RUN_FINISHED"]
        page = await store.threads.list_messages("t")
        assert len(page.messages) == 10

    @pytest.mark.parametrize(
        ("path", "given", "kind"),
        [
            ("/v1/runs", {"agentId": "helper", "threadId": "t", "runId": "r"}, "state_snapshot"),
            (
                "/v1/ai-sdk/agents/helper/runs",
                {"id": "t", "runId": "r", "messages": []},
                "data-state",
            ),
        ],
    )
    async def test_who_comes_back_to_a_run_gets_the_state_that_it_has_made(
        self, store: Store, path: str, given: dict[str, Any], kind: str
    ) -> None:
        async def came() -> list[str]:
            async with streaming(app_of(store), path, method="POST", body=given) as stream:
                await stream.until_events(1)
                await asyncio.sleep(0.05)
                return [event.data["type"] for event in stream.events]

        assert kind not in await came()
        await store.threads.append("t", ThreadChangeSet(run_id="other", snapshot={"n": 1}))
        assert kind not in await came()
        await store.threads.append("t", ThreadChangeSet(run_id="r", patches=(sets("n", 2),)))
        assert (await came()).count(kind) == 1
        await store.threads.append("t", Message.user("hi"))
        async with streaming(app_of(store), path, method="POST", body=given) as stream:
            await stream.until(lambda stream: any(e.data["type"] == kind for e in stream.events))
            [state] = [each.data for each in stream.events if each.data["type"] == kind]
        assert state["data"] in ({"n": 2}, {"snapshot": {"n": 2}})

    @pytest.mark.parametrize(
        ("path", "given", "first"),
        [
            (PATH, asked("r", "hello"), "RUN_STARTED"),
            ("/v1/runs", {"agentId": "helper", "threadId": "t", "runId": "r"}, "run_start"),
            ("/v1/ai-sdk/agents/helper/runs", {"id": "t", "runId": "r", "messages": []}, "start"),
        ],
    )
    async def test_a_run_that_is_asked_for_while_the_server_stops_is_not_refused(
        self,
        store: Store,
        path: str,
        given: dict[str, Any],
        first: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is in the mailbox: who is refused asks again, and so for another run."""
        app = app_of(store)
        ask = store.runs.request

        async def stopping(*arguments: Any, **options: Any) -> Any:
            asked_for = await ask(*arguments, **options)
            app.streams.end()
            return asked_for

        monkeypatch.setattr(store.runs, "request", stopping)
        async with streaming(app, path, method="POST", body=given) as stream:
            await stream.until_end()
        assert stream.status == 200
        assert [event.data["type"] for event in stream.events] == [first]
        assert (await store.mailboxes.count_entries("t")).queued == 1
        async with streaming(app, path, method="POST", body=given) as stream:
            await stream.until_end()
        assert stream.status == 503
        assert (await store.mailboxes.count_entries("t")).queued == 1

    async def test_a_run_leaves_nothing_behind(self, store: Store) -> None:
        app = app_of(store)
        before = len(asyncio.all_tasks())
        for number in range(3):
            async with run(app, asked(f"r{number}", "hello")) as stream:
                await stream.until_events(1)
            async with run(app, asked(f"r{number}", "hello", threadId="a/b")) as stream:
                await refused(stream, 400)
            assert len(asyncio.all_tasks()) == before
        assert isinstance(store._backend, MemoryBackend)
        assert not store._backend._live.are_followed


class TestRefusals:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"threadId": "a/b"},
            {"runId": ""},
            {"runId": 5},
            {"messages": {}},
            {"messages": [5]},
            {"messages": [{"role": "user", "content": "x"}]},
            {"messages": [{"id": "m", "role": "robot", "content": "x"}]},
            {"messages": [{"id": "m", "role": "tool", "content": "x"}]},
            {"resume": [{"status": "resolved"}]},
            {"resume": {}},
        ],
        ids=str,
    )
    async def test_what_is_no_request_is_refused_and_nothing_is_written(
        self, store: Store, wrong: dict[str, Any]
    ) -> None:
        async with run(app_of(store), {**asked("r", "hello"), **wrong}) as stream:
            await stream.until(lambda stream: stream.has_ended)
        assert stream.status == 400
        assert await store.threads.load("t") is None

    async def test_a_thread_or_a_run_of_another_does_not_exist(self, store: Store) -> None:
        await store.threads.create(Thread(id="t", resource_id="alice"))
        app = app_of(store, user("bob"))
        async with run(app, asked("r", "hello")) as stream:
            await refused(stream, 404)
        async with run(app_of(store, user("alice")), asked("r", "hello")) as stream:
            await stream.until_events(1)
        async with working(store):
            await events_of(app_of(store, user("alice")), asked("r", "hello"))
        async with run(app, asked("r", "hello", threadId="mine")) as stream:
            await refused(stream, 404)
        async with run(app, asked("r2", "hello", threadId="mine", parentRunId="r")) as stream:
            await refused(stream, 404)
        async with run(app, asked("r2", "hello", threadId="mine")) as stream:
            await stream.until_events(1)
        head = await store.threads.summary("mine")
        assert head is not None
        assert head.resource_id == "bob"

    async def test_a_mailbox_that_is_there_is_not_taken_over(self, store: Store) -> None:
        await store.mailboxes.send("t", "of somebody else")
        async with run(app_of(store, user("bob")), asked("r", "hello")) as stream:
            await refused(stream, 409)

    async def test_without_room_for_a_stream_nothing_is_asked_for(self, store: Store) -> None:
        limits = Limits(streams_per_principal=1)
        app = treadle.http.app(store, authenticate=everyone(admin("ops")), limits=limits)
        async with run(app, asked("r1", "hello")) as first:
            await first.until_events(1)
            async with run(app, asked("r2", "hello", threadId="t2")) as second:
                await refused(second, 429)
        assert await store.threads.load("t2") is None

    async def test_who_may_not_send_is_refused(self, store: Store) -> None:
        async with run(app_of(store, treadle.http.viewer("v")), asked("r", "hello")) as stream:
            await refused(stream, 403)


async def refused(stream: Stream, status: int) -> None:
    await stream.until(lambda stream: stream.has_ended)
    assert stream.status == status, stream.body
