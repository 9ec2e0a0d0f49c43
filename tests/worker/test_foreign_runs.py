"""Requests by hand may name any run: a turn writes to those of its thread, and loses no tokens."""

import pytest
from tests.marks import every_backend
from tests.worker.support import AT_ONCE, NewWorker, Recorder, running, until_idle

from treadle import Message, RunRecord, Store, Thread
from treadle.testing import ManualClock
from treadle.worker import DeadLettered, Delivery, Retried, RunRequest, Turn

VICTIM = RunRecord(
    run_id="victim",
    thread_id="v",
    status="waiting",
    metadata={"interrupts": [{"id": "secret"}]},
    input_tokens=7,
    created_at=1,
    updated_at=1,
)


def wanted(run_id: str) -> RunRequest:
    return RunRequest(agent_id="a", thread_id="t", run_id=run_id)


@pytest.fixture
async def victim(store: Store) -> RunRecord:
    """A run of another thread, in which `t` has no part."""
    await store.threads.create(Thread(id="v", resource_id="victor"))
    await store.threads.create(Thread(id="t", resource_id="mallory"))
    await store.runs.upsert(VICTIM)
    return VICTIM


@every_backend
async def test_a_turn_that_takes_a_run_of_another_thread_leaves_it_alone(
    store: Store, new_worker: NewWorker, victim: RunRecord
) -> None:
    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        await turn.take(5)
        async with delivery.batch() as step:
            step.threads.append("t", turn.changes(Message.assistant("hi"), status="done"))

    await store.mailboxes.send("t", wanted("own"))
    await store.mailboxes.send("t", wanted("victim"))
    await until_idle(new_worker(store, handler))
    assert await store.runs.load("victim") == victim
    own = await store.runs.load("own")
    assert own is not None
    assert own.status == "done"


@every_backend
@pytest.mark.parametrize("begins", [True, False])
async def test_a_turn_of_a_run_of_another_thread_is_a_dead_letter(
    store: Store, new_worker: NewWorker, recorder: Recorder, victim: RunRecord, begins: bool
) -> None:
    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        if begins:
            await turn.begin()
        turn.count_tokens(input_tokens=100)
        async with delivery.batch() as step:
            step.threads.append("t", turn.changes(Message.assistant("hi"), status="done"))

    await store.mailboxes.send("t", wanted("victim"))
    await until_idle(new_worker(store, handler, max_attempts=2, backoff=AT_ONCE))
    [dead] = recorder.of(DeadLettered)
    assert "run 'victim'" in dead.error
    assert await store.runs.load("victim") == victim
    assert await store.threads.message_count("t") == 0


@every_backend
async def test_a_run_that_is_taken_keeps_the_tokens_of_its_earlier_attempts(
    store: Store, new_worker: NewWorker, recorder: Recorder, clock: ManualClock
) -> None:
    recorder.skips_delays = False
    await store.threads.create(Thread(id="t"))

    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        if turn.request.run_id == "first":
            turn.count_tokens(input_tokens=500, output_tokens=5)
            raise ConnectionError
        clock.now += 600_000  # the retry of the first one is due
        assert [each.request.run_id for each in await turn.take(5)] == ["first"]

    await store.mailboxes.send("t", wanted("first"))
    async with running(new_worker(store, handler, keep_order=False)):
        await recorder.wait_for(Retried)
    await store.mailboxes.send("t", wanted("second"))
    await until_idle(new_worker(store, handler, keep_order=False))
    run = await store.runs.load("first")
    assert run is not None
    assert (run.status, run.termination_code) == ("done", "merged")
    assert (run.input_tokens, run.output_tokens) == (500, 5)


@every_backend
async def test_a_run_that_is_asked_for_twice_is_no_part_of_itself(
    store: Store, new_worker: NewWorker
) -> None:
    await store.threads.create(Thread(id="t"))

    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        await turn.take(5)
        async with delivery.batch() as step:
            step.threads.append("t", turn.changes(Message.assistant("hi"), status="done"))

    for _ in range(2):
        await store.mailboxes.send("t", wanted("r"))
    await until_idle(new_worker(store, handler))
    run = await store.runs.load("r")
    assert run is not None
    assert (run.status, run.termination_code) == ("done", None)
