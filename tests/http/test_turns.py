"""Turns: each run is about the messages and the answers that came with it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.http.clients_in_process import client_of
from tests.http.streams_in_process import streaming
from tests.http.test_ag_ui import app_of, events_of, run
from treadle import Message, RunRecord, Store
from treadle.http import App, admin
from treadle.turns import run_of
from treadle.worker import Delivery, Handler, Interrupt, RunRequest, Turn, Worker


@asynccontextmanager
async def working(store: Store, handler: Handler) -> AsyncGenerator[None]:
    """Let a worker work during the block."""
    working = asyncio.create_task(Worker(store, handler).run())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def says(run_id: str, *texts: str, **more: Any) -> dict[str, Any]:
    """What a client of AG-UI sends that says texts of its own."""
    messages = [{"id": f"{run_id}-{text}", "role": "user", "content": text} for text in texts]
    return {"threadId": "t", "runId": run_id, "messages": messages, **more}


async def send(app: App, given: dict[str, Any], path: str | None = None) -> None:
    """Request a run, and go away."""
    if path is None:
        async with run(app, given) as stream:
            await stream.until_events(1)
        return
    async with streaming(app, path, method="POST", body=given) as stream:
        await stream.until_events(1)


async def echo(delivery: Delivery) -> None:
    """Answer what was said last."""
    turn = Turn(delivery)
    history = await turn.history()
    said = Message.assistant(f"You said: {history[-1].content}")
    async with delivery.batch() as step:
        step.threads.append(turn.request.thread_id, turn.changes(said, status="done"))


async def contents(store: Store) -> list[tuple[str | None, object]]:
    page = await store.threads.list_messages("t")
    return [(run_of(each.message), each.message.content) for each in page.messages]


async def requests(store: Store) -> list[RunRequest]:
    page = await store.mailboxes.list_entries(mailbox_id="t")
    return [RunRequest.of(entry) for entry in page.items]


class TestWhatARunIsAbout:
    async def test_two_questions_before_the_worker_get_their_own_answers(
        self, store: Store
    ) -> None:
        app = app_of(store)
        await send(app, says("r1", "delete it"))
        await send(app, says("r2", "thanks"))
        async with working(store, echo):
            first, second = await events_of(app, says("r1")), await events_of(app, says("r2"))
        assert first[-1]["outcome"] == second[-1]["outcome"] == {"type": "success"}
        assert await contents(store) == [
            ("r1", "delete it"),
            ("r2", "thanks"),
            ("r1", "You said: delete it"),
            ("r2", "You said: thanks"),
        ]

    async def test_a_request_names_its_messages(self, store: Store) -> None:
        app = app_of(store)
        await send(app, says("r1", "a", "b"))
        await store.runs.upsert(RunRecord(run_id="x", thread_id="t", status="waiting"))
        await send(app, says("r2", resume=[{"interruptId": "x"}]))
        first, second = await requests(store)
        assert (first.message_ids, first.behind) == (("r1-a", "r1-b"), None)
        assert (second.message_ids, second.behind) == ((), "r1-b")

    async def test_a_message_that_is_asked_about_again_is_what_the_run_is_about(
        self, store: Store
    ) -> None:
        app, chat = app_of(store), "/v1/ai-sdk/agents/helper/runs"
        said = {"id": "q", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
        given = {"id": "t", "messages": [said]}
        async with working(store, echo):
            async with streaming(app, chat, method="POST", body=given) as stream:
                await stream.until_end()
            again = {**given, "trigger": "regenerate-message"}
            async with streaming(app, chat, method="POST", body=again) as stream:
                await stream.until_end()
        assert [each.message_ids for each in await requests(store)] == [("q",), ("q",)]
        assert [text for _, text in await contents(store)] == ["hi", "You said: hi"]

    async def test_an_answer_without_words_is_about_the_run_that_asked(self, store: Store) -> None:
        app, histories = app_of(store), []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            histories.append([each.content for each in await turn.history()])
            asks = turn.request.run_id == "r1"
            interrupts = [Interrupt(id="may-1")] if asks else []
            said = Message.assistant(f"a-{turn.request.run_id}")
            async with delivery.batch() as step:
                changes = turn.changes(
                    said, status="waiting" if asks else "done", interrupts=interrupts
                )
                step.threads.append("t", changes)

        async with working(store, handler):
            await events_of(app, says("r1", "pay"))
        await send(app, says("r2", resume=[{"interruptId": "may-1"}]))
        await send(app, says("r3", "thanks"))
        async with working(store, handler):
            await events_of(app, says("r3"))
        assert histories[1:] == [["pay", "a-r1"], ["pay", "a-r1", "a-r2", "thanks"]]


class TestARunThatBecameAPart:
    async def test_its_client_sees_how_the_whole_ends(self, store: Store) -> None:
        app = app_of(store)

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            [taken] = await turn.take(5)
            assert taken.messages[0].content == "without nuts"
            async with delivery.batch() as step:
                question = [Interrupt(id="may-1", message="Really?")]
                asking = turn.changes(status="waiting", interrupts=question)
                step.threads.append("t", asking)

        await send(app, says("r1", "bake a cake"))
        await send(app, says("r2", "without nuts"))
        async with working(store, handler):
            first, second = await events_of(app, says("r1")), await events_of(app, says("r2"))
        assert first[-1]["outcome"] == second[-1]["outcome"]
        assert [each["id"] for each in second[-1]["outcome"]["interrupts"]] == ["may-1"]
        async with client_of(store, admin("ops")) as client:
            record = (await client.get("/v1/runs/r2")).json()
        assert (record["status"], record["termination_code"]) == ("done", "merged")
