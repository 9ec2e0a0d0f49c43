"""`turn.message(keep_on_stop=True)`: what the user has seen stays when they stop the turn."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import NewWorker, Recorder, running

from treadle import InvalidValue, Message, RunRequest, Store
from treadle.turns import run_of
from treadle.worker import Delivery, Turn, Withdrawn

HI = Message.user("hi", id="hi")


def asking(run_id: str) -> RunRequest:
    return RunRequest(agent_id="helper", thread_id="t", run_id=run_id)


class Teller:
    """A handler that shows a part of its answer, and waits until it is stopped."""

    def __init__(self, *, commits: bool = False) -> None:
        self.commits = commits
        self.has_shown = asyncio.Event()
        self.message_id = ""

    async def __call__(self, delivery: Delivery) -> None:
        if delivery.entry.entry_id != "r":
            return
        turn = Turn(delivery)
        message = turn.message(keep_on_stop=True)
        self.message_id = message.id
        await message.text("Once ")
        await message.text("upon ")
        if self.commits:
            async with delivery.batch(settle=False) as step:
                said = Message.assistant("Once upon a time", id=message.id)
                step.threads.append("t", turn.changes(said))
        self.has_shown.set()
        await asyncio.Event().wait()


async def said(store: Store) -> list[Message]:
    page = await store.threads.list_messages("t")
    return [each.message for each in page.messages]


async def stopped(
    store: Store,
    new_worker: NewWorker,
    recorder: Recorder,
    stop: Callable[[Store], Awaitable[object]],
    *,
    commits: bool = False,
) -> Teller:
    teller = Teller(commits=commits)
    await store.runs.request(asking("r"), HI)
    async with running(new_worker(store, teller)):
        await teller.has_shown.wait()
        await stop(store)
        await recorder.wait_for(Withdrawn)
    return teller


@every_backend
async def test_a_stop_keeps_what_was_shown(
    store: Store, new_worker: NewWorker, recorder: Recorder
) -> None:
    async def stop(store: Store) -> None:
        async with store.batch() as step:
            step.mailboxes.interrupt("t")
            step.threads.append("t", Message.user("wait", id="wait"))

    teller = await stopped(store, new_worker, recorder, stop)
    kept = (await said(store))[-1]
    assert (kept.content, kept.id, run_of(kept)) == ("Once upon ", teller.message_id, "r")
    run = await store.runs.load("r")
    assert run is not None
    assert (run.status, run.termination_code) == ("done", "superseded")


OTHER_ENDS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "cancelled": lambda store: store.mailboxes.cancel("r"),
    "asked again": lambda store: store.runs.request(asking("s"), HI, removes_rest=True),
}


@every_backend
@pytest.mark.parametrize("stop", OTHER_ENDS.values(), ids=OTHER_ENDS)
async def test_other_ends_keep_nothing(
    store: Store,
    new_worker: NewWorker,
    recorder: Recorder,
    stop: Callable[[Store], Awaitable[object]],
) -> None:
    await stopped(store, new_worker, recorder, stop)
    assert [each.id for each in await said(store)] == ["hi"]


@every_backend
async def test_a_question_that_is_gone_gets_no_answer(
    store: Store, new_worker: NewWorker, recorder: Recorder
) -> None:
    async def stop(store: Store) -> None:
        async with store.batch() as step:
            step.mailboxes.interrupt("t")
            step.threads.truncate("t", keep=0)

    await stopped(store, new_worker, recorder, stop)
    assert not await said(store)


@every_backend
async def test_a_message_that_was_committed_comes_once(
    store: Store, new_worker: NewWorker, recorder: Recorder
) -> None:
    await stopped(
        store, new_worker, recorder, lambda store: store.mailboxes.interrupt("t"), commits=True
    )
    assert [each.content for each in await said(store)] == ["hi", "Once upon a time"]


@every_backend
async def test_a_worker_that_ends_keeps_nothing(store: Store, new_worker: NewWorker) -> None:
    teller = Teller()
    await store.runs.request(asking("r"), HI)
    async with running(new_worker(store, teller, grace_ms=0)):
        await teller.has_shown.wait()
    assert [each.id for each in await said(store)] == ["hi"]


async def test_it_is_a_flag(store: Store, new_worker: NewWorker) -> None:
    refusals: list[InvalidValue] = []

    async def handler(delivery: Delivery) -> None:
        wrong: Any = "yes"
        try:
            Turn(delivery).message(keep_on_stop=wrong)
        except InvalidValue as refusal:
            refusals.append(refusal)

    await store.runs.request(asking("r"), HI)
    await new_worker(store, handler).run(until_idle=True)
    assert [each.where for each in refusals] == ["message.keep_on_stop"]
