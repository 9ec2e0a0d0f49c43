"""Asking again: the work that answers the same question ends in the commit that asks again."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.marks import every_backend
from tests.store.test_run_requests import (
    how_it_is,
    queued,
    requests_of,
    run_named,
    said,
    wanted,
)
from treadle import (
    Answer,
    ClaimConflict,
    Message,
    MessageMetadata,
    RunMeta,
    RunStatus,
    Store,
    Thread,
    ThreadChangeSet,
)


async def status_of(store: Store, entry_id: str) -> str:
    entry = await store.mailboxes.load_entry(entry_id)
    assert entry is not None
    return entry.status


async def says(store: Store, run_id: str, text: str, status: RunStatus = "running") -> None:
    """Let a run say something, as its turn does."""
    meta = RunMeta(agent_id="helper", status=status, source_mailbox_entry_id=run_id)
    message = msgspec.structs.replace(
        Message.assistant(text), metadata=MessageMetadata(run_id=run_id)
    )
    changes = ThreadChangeSet(run_id=run_id, run_meta=meta, messages=(message,))
    await store.threads.append("t", changes)


@every_backend
class TestAskedAgain:
    question = Message.user("first", id="m1")

    async def test_a_run_that_is_queued(self, store: Store) -> None:
        await store.runs.request(wanted("r1"), self.question)
        await store.runs.request(wanted("r2"), self.question, removes_rest=True)
        assert await status_of(store, "r1") == "superseded"
        assert [entry.entry_id for entry in await queued(store)] == ["r2"]

    async def test_a_run_that_is_under_way(self, store: Store) -> None:
        await store.runs.request(wanted("r1"), self.question)
        held = await store.mailboxes.claim_entry("r1", consumer="w")
        assert held is not None
        await says(store, "r1", "half")
        await store.runs.request(wanted("r2"), self.question, removes_rest=True)
        with pytest.raises(ClaimConflict, match="superseded"):
            async with store.batch() as step:
                step.mailboxes.hold(held)
                step.threads.append("t", ThreadChangeSet(messages=(Message.assistant("late"),)))
        assert await how_it_is(store, "r1") == ("done", "superseded")
        assert (await run_named(store, "r1")).termination_detail == "asked again as run 'r2'"
        assert [each.content for each in await said(store)] == ["first"]

    @pytest.mark.parametrize("pauses", [False, True], ids=["ended", "paused"])
    async def test_a_run_that_waits(self, store: Store, pauses: bool) -> None:
        await store.runs.request(wanted("r1"), self.question)
        held = await store.mailboxes.claim_entry("r1", consumer="w")
        assert held is not None
        await says(store, "r1", "may I?", "waiting")
        async with store.batch() as step:
            if pauses:
                step.mailboxes.release(held)
                step.mailboxes.pause("t")
            else:
                step.mailboxes.ack(held)
        await store.runs.request(wanted("r2"), self.question, removes_rest=True)
        assert await how_it_is(store, "r1") == ("done", "superseded")
        state = await store.mailboxes.load("t")
        assert state is not None
        assert state.paused_at is None
        assert await store.mailboxes.claim_entry("r2", consumer="w") is not None

    async def test_a_pause_of_somebody_else_stays(self, store: Store) -> None:
        await store.runs.request(wanted("r1"), self.question)
        await store.mailboxes.pause("t", reason="the model is down")
        await store.runs.request(wanted("r2"), self.question, removes_rest=True)
        state = await store.mailboxes.load("t")
        assert state is not None
        assert state.pause_reason == "the model is down"

    async def test_what_was_asked_before_goes_on_and_what_was_asked_after_ends(
        self, store: Store
    ) -> None:
        second = Message.user("second", id="m2")
        await store.runs.request(wanted("r1"), self.question)
        await store.runs.request(wanted("r2"), second)
        await store.runs.request(wanted("r3"), second, removes_rest=True)
        assert await status_of(store, "r1") == "queued"
        assert await status_of(store, "r2") == "superseded"
        await store.runs.request(wanted("r4"), self.question, removes_rest=True)
        assert [entry.entry_id for entry in await queued(store)] == ["r4"]
        assert [each.id for each in await said(store)] == ["m1"]

    async def test_what_goes_on_behind_the_last_message(self, store: Store) -> None:
        answer = Message.assistant("yes", id="a1")
        await store.threads.create(Thread(id="t", messages=(self.question, answer)))
        await store.runs.request(wanted("r1"), answer)
        await store.runs.request(wanted("r2"), answer, removes_rest=True)
        assert [entry.entry_id for entry in await queued(store)] == ["r2"]

    async def test_the_run_that_it_answers_goes_on(self, store: Store) -> None:
        await store.runs.request(wanted("r1"), self.question)
        held = await store.mailboxes.claim_entry("r1", consumer="w")
        assert held is not None
        await says(store, "r1", "may I?", "waiting")
        async with store.batch() as step:
            step.mailboxes.release(held)
            step.mailboxes.pause("t")
        answer = wanted("r2", resume=(Answer(interrupt_id="r1", run_id="r1"),))
        await store.runs.request(answer, self.question, removes_rest=True)
        assert await how_it_is(store, "r1") == ("running", None)
        assert {entry.entry_id for entry in await queued(store)} == {"r1", "r2"}

    async def test_other_work_of_the_mailbox_stays(self, store: Store) -> None:
        await store.runs.request(wanted("r1"), self.question)
        await store.mailboxes.send("t", "no request", entry_id="x")
        await store.runs.request(wanted("r2"), self.question, removes_rest=True)
        assert {entry.entry_id for entry in await queued(store)} == {"x", "r2"}

    async def test_of_several_at_once_one_is_left(self, store: Store) -> None:
        await store.runs.request(wanted("r"), self.question)
        calls = [
            store.runs.request(wanted(f"r{number}"), self.question, removes_rest=True)
            for number in range(6)
        ]
        await asyncio.gather(*calls)
        assert len(await queued(store)) == 1


@every_backend
async def test_a_thread_that_is_deleted_meanwhile_is_created_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.threads.create(Thread(id="t", messages=(Message.user("old"),)))
    commit = requests_of(store)._commit

    async def too_late(commands: Any) -> Any:
        monkeypatch.undo()
        await store.threads.delete("t")
        return await commit(commands)

    monkeypatch.setattr(requests_of(store), "_commit", too_late)
    asked = await store.runs.request(wanted("r"), Message.user("new"))
    assert asked.version == 0
    assert [each.content for each in await said(store)] == ["new"]
    assert [entry.entry_id for entry in await queued(store)] == ["r"]
