"""Answers to what runs ask, and the ids of the runs that clients ask for."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.streams_in_process import Stream, streaming
from tests.http.test_ag_ui import app_of, asked, refused, run
from tests.http.test_runs import asking
from tests.marks import every_backend
from treadle import Message, RunMeta, RunRecord, Store, Thread, ThreadChangeSet, open_store
from treadle.http import App
from treadle.testing._harness.dump import read_everything
from treadle.worker import RunRequest


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A store of each kind, by the real clock: streams wait."""
    async with open_store(store_url) as opened:
        yield opened


def asks(run_id: str, interrupt_id: str, thread_id: str = "t") -> dict[str, Any]:
    """The body of an answer."""
    resume = [{"interruptId": interrupt_id, "status": "resolved"}]
    return asked(run_id, "yes", threadId=thread_id, resume=resume)


def approval(interrupt_id: str) -> dict[str, Any]:
    """A part of the agent's message, for a tool that the user has let it call."""
    call = {"type": "tool-f", "toolCallId": f"c-{interrupt_id}"}
    given = {"id": interrupt_id, "approved": True}
    return {**call, "state": "approval-responded", "approval": given}


def output(text: str) -> dict[str, Any]:
    """A part for a tool of the client, with its result."""
    call = {"type": "tool-pick", "toolCallId": f"c-{text}"}
    return {**call, "state": "output-available", "output": text}


async def status_of(app: App, given: dict[str, Any]) -> int:
    """The status with which a request is answered."""
    stream: Stream
    async with run(app, given) as stream:
        await stream.until(has_begun)
    return stream.status


def has_begun(stream: Stream) -> bool:
    return stream.has_ended or bool(stream.events)


async def statuses(store: Store) -> dict[str, tuple[str, str | None]]:
    """The statuses of all runs, and why they are over."""
    page = await store.runs.list()
    return {run.run_id: (run.status, run.termination_code) for run in page.items}


@every_backend
class TestAnswers:
    async def test_an_answer_ends_the_wait_of_the_run_that_asked(self, store: Store) -> None:
        await asking(store, "r1", "i1")
        await asking(store, "r2", "i2")
        async with run(app_of(store), asks("a", "i1")) as stream:
            await stream.until_events(1)
        waiting = ("waiting", None)
        assert await statuses(store) == {"r1": ("done", "answered"), "r2": waiting}
        [entry] = (await store.mailboxes.search_entries(statuses=["queued"])).items
        assert entry.entry_id == "a"

    async def test_what_nobody_has_asked_is_refused_and_nothing_is_written(
        self, store: Store
    ) -> None:
        await asking(store)
        before = await read_everything(store, ("t", "u"))
        for given in (asks("a", "x"), asks("a", "i", "unknown"), asks("a", "i", "u")):
            async with run(app_of(store), given) as stream:
                await refused(stream, 409)
            assert json.loads(stream.body)["code"] == "not_waiting"
        assert await read_everything(store, ("t", "u")) == before

    async def test_a_question_is_answered_once(self, store: Store) -> None:
        await asking(store)
        app = app_of(store)
        async with run(app, asks("a", "i")) as stream:
            await stream.until_events(1)
        async with run(app, asks("b", "i")) as stream:
            await refused(stream, 409)
        async with run(app, asks("a", "i")) as stream:  # the same again is no second answer
            await stream.until_events(1)
        assert (await store.mailboxes.count_entries("t")).queued == 1

    async def test_of_many_who_answer_at_once_one_does(self, store: Store) -> None:
        await asking(store)
        app = app_of(store)

        async def answer(number: int) -> int:
            return await status_of(app, asks(f"a{number}", "i"))

        found = await asyncio.gather(*map(answer, range(10)))
        assert sorted(found) == [200] + 9 * [409]
        assert (await store.mailboxes.count_entries("t")).queued == 1

    async def test_an_answer_after_a_stop_is_refused(self, store: Store) -> None:
        await asking(store)
        await store.mailboxes.interrupt("t")
        async with run(app_of(store), asks("a", "i")) as stream:
            await refused(stream, 409)
        assert await statuses(store) == {"r": ("done", "superseded")}

    async def test_a_run_that_pauses_its_mailbox_goes_on_once(self, store: Store) -> None:
        sent = await store.mailboxes.send("t", "work")
        meta = RunMeta(status="waiting", source_mailbox_entry_id=sent.entry.entry_id)
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            step.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
            step.mailboxes.pause("t")
        app = app_of(store)
        async with run(app, asks("a", "r")) as stream:
            await stream.until_events(1)
        async with run(app, asks("b", "r")) as stream:
            await refused(stream, 409)
        assert await statuses(store) == {"r": ("running", None)}
        state = await store.mailboxes.load("t")
        assert state is not None
        assert state.paused_at is None

    async def test_an_answer_leaves_the_pause_of_another_run(self, store: Store) -> None:
        await asking(store)
        await store.mailboxes.send("t", "more work")
        await store.mailboxes.pause("t")
        async with run(app_of(store), asks("a", "i")) as stream:
            await stream.until_events(1)
        state = await store.mailboxes.load("t")
        assert state is not None
        assert state.paused_at is not None


@every_backend
class TestIdsOfRuns:
    async def test_a_run_of_another_thread_is_refused_before_anything_is_written(
        self, store: Store
    ) -> None:
        await store.runs.upsert(RunRecord(run_id="r", thread_id="t", status="done"))
        before = await read_everything(store, ("t", "u"))
        async with run(app_of(store), asked("r", "hello", threadId="u")) as stream:
            await refused(stream, 409)
        assert json.loads(stream.body)["code"] == "already_exists"
        assert await read_everything(store, ("t", "u")) == before

    async def test_a_run_that_another_thread_has_asked_for_is_refused(self, store: Store) -> None:
        app = app_of(store)
        async with run(app, asked("r", "hello")) as stream:
            await stream.until_events(1)
        async with run(app, asked("r", "hello", threadId="u")) as stream:
            await refused(stream, 409)
        assert json.loads(stream.body)["code"] == "already_exists"
        assert await store.threads.summary("u") is None

    async def test_of_threads_that_ask_for_one_run_at_once_one_gets_it(self, store: Store) -> None:
        app = app_of(store)

        async def ask(number: int) -> int:
            return await status_of(app, asked("r", "hello", threadId=f"t{number}"))

        assert sorted(await asyncio.gather(*map(ask, range(5)))) == [200] + 4 * [409]
        assert (await store.mailboxes.count_entries()).queued == 1
        assert (await store.threads.list()).total == 1


class TestAnswersThatComeAgain:
    """A client of the AI SDK sends the answers of the agent's last message each time."""

    async def ask(self, store: Store, *parts: dict[str, Any]) -> tuple[int, list[str]]:
        """Send the agent's last message; return the status, and what the answers answer."""
        said = [
            {"id": "m", "role": "user", "parts": [{"type": "text", "text": "x"}]},
            {"id": "a", "role": "assistant", "parts": [*parts]},
        ]
        path, body = "/v1/ai-sdk/agents/helper/runs", {"id": "t", "messages": said, "runId": "a"}
        async with streaming(app_of(store), path, method="POST", body=body) as stream:
            await stream.until(has_begun)
        entry = await store.mailboxes.load_entry("a")
        answers = RunRequest.of(entry).resume if entry is not None else ()
        return stream.status, [each.interrupt_id for each in answers]

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            ([approval("i")], (200, ["i"])),
            ([approval("old"), approval("i")], (200, ["i"])),
            ([approval("old"), output("picked")], (200, [])),
            ([approval("old")], (409, [])),
        ],
    )
    async def test_only_those_count_that_a_run_waits_for(
        self, store: Store, parts: list[dict[str, Any]], expected: tuple[int, list[str]]
    ) -> None:
        await asking(store)
        await store.threads.append("t", Message.user("x", id="m"))
        assert await self.ask(store, *parts) == expected
