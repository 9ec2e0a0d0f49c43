"""Deliveries: what a handler can read and commit, and how its entry is settled."""

import asyncio
import threading
from functools import partial

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    FaultyBackend,
    NewWorker,
    Recorder,
    Work,
    advance,
    load,
    running,
    says,
    texts,
    until_idle,
    until_stopped,
)

from treadle import ClaimConflict, Committed, InvalidValue, Store, VersionConflict
from treadle.core.claims import Ack, Hold
from treadle.testing import ManualClock
from treadle.worker import DeadLettered, Delivery, Done, Released, Retried

pytestmark = pytest.mark.usefixtures("thread")


async def test_an_entry_is_done_when_its_handler_returns(recorder: Recorder, work: Work) -> None:
    async def handler(delivery: Delivery) -> None:
        assert delivery.entry.payload == {"text": "hi"}
        assert not delivery.settled
        assert not delivery.cancelled

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_handler_that_writes_nothing_is_logged_once(
    store: Store, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgetful(delivery: Delivery) -> None:
        await asyncio.sleep(0)

    await store.mailboxes.send("t", {"text": "again"})
    await work(forgetful)
    [record] = caplog.records
    assert "the handler returned without a batch: entry" in record.getMessage()


async def test_a_handler_that_writes_or_says_so_is_not_logged(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    async def writing(delivery: Delivery) -> None:
        async with delivery.batch(settle=False) as step:
            step.threads.append("t", says("one"))

    async def explicit(delivery: Delivery) -> None:
        async with delivery.batch():
            pass

    await work(writing)
    await work(explicit)
    assert caplog.records == []


async def test_a_delivery_s_batch_that_is_never_entered_warns(work: Work) -> None:
    async def handler(delivery: Delivery) -> None:
        step = delivery.batch()
        step.threads.append("t", says("lost"))
        with pytest.warns(RuntimeWarning, match="a batch was never entered: nothing was written"):
            del step

    await work(handler)


async def test_a_delivery_loads_the_thread_that_has_the_mailbox_id(
    store: Store, recorder: Recorder, work: Work
) -> None:
    await store.threads.append("t", says("before"))

    async def handler(delivery: Delivery) -> None:
        head = await delivery.thread()
        assert head is not None
        assert (head.thread.id, head.version) == ("t", 1)

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_mailbox_needs_no_thread(store: Store, recorder: Recorder, work: Work) -> None:
    await store.threads.delete("t")

    async def handler(delivery: Delivery) -> None:
        assert await delivery.thread() is None

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_batch_commits_with_the_ack(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        head = await delivery.thread()
        assert head is not None
        async with delivery.batch() as step:
            step.threads.append("t", says("answer"), expected=head.version)
            step.mailboxes.send("u", "next", delay_ms=60_000)
            assert await texts(store, "t") == []
            assert (await load(store, delivery.entry)).status == "claimed"
        assert delivery.settled
        assert (await load(store, delivery.entry)).status == "accepted"
        assert step.receipt is not None
        first, second = step.receipt.results
        assert first == Committed(version=1)
        assert getattr(second, "entry", second).mailbox_id == "u"
        worker.stop()

    await store.mailboxes.send("t", 1)
    worker = new_worker(store, handler)
    await until_stopped(worker)
    assert recorder.names() == ["Claimed", "Done"]
    assert await texts(store, "t") == ["answer"]


async def test_the_fence_comes_first_and_the_ack_last(
    faulty: FaultyBackend, faulty_store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await faulty_store.mailboxes.send("t", 1)

    async def handler(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.mailboxes.send("u", 1, delay_ms=60_000)
            worker.stop()

    worker = new_worker(faulty_store, handler)
    await until_stopped(worker)
    commands = faulty.batches[-1]
    assert [type(command).__name__ for command in commands] == ["Hold", "Send", "Ack"]
    assert isinstance(commands[0], Hold)
    assert isinstance(commands[-1], Ack)


async def test_the_ack_of_a_handler_that_returns_is_fenced(
    faulty: FaultyBackend, faulty_store: Store, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None: ...

    await faulty_store.mailboxes.send("m", 1)
    await until_idle(new_worker(faulty_store, handler))
    assert [type(command) for command in faulty.batches[-1]] == [Hold, Ack]


async def test_a_step_before_the_last_one_settles_nothing(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        for number in range(3):
            async with delivery.batch(settle=False) as step:
                step.threads.append("t", says(f"step {number}"), expected=number)
            assert not delivery.settled
            assert step.receipt is not None
            assert step.receipt.results == (Committed(version=number + 1),)

    await work(handler)
    assert await texts(store, "t") == ["step 0", "step 1", "step 2"]
    assert recorder.names() == ["Claimed", "Done"]


async def test_an_exception_in_a_batch_writes_nothing(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        with pytest.raises(KeyError):
            async with delivery.batch() as step:
                step.threads.append("t", says("never"))
                raise KeyError
        assert not delivery.settled

    await work(handler)
    assert await texts(store, "t") == []
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_batch_that_fails_settles_nothing(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        with pytest.raises(VersionConflict):
            async with delivery.batch() as step:
                step.threads.append("t", says("never"), expected=7)
        with pytest.raises(InvalidValue):
            async with delivery.batch() as step:
                step.mailboxes.send("u", float("nan"))
        assert not delivery.settled
        async with delivery.batch() as step:
            step.threads.append("t", says("now"), expected=0)

    await work(handler)
    assert await texts(store, "t") == ["now"]
    assert recorder.names() == ["Claimed", "Done"]


async def test_a_batch_may_settle_in_another_way_than_an_ack(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        async with delivery.batch() as step:
            step.threads.append("t", says(f"attempt {entry.attempt_count}"))
            if entry.attempt_count == 1:
                step.mailboxes.nack(entry, error="again")
            else:
                step.mailboxes.dead_letter(entry, error="enough")
        assert delivery.settled

    await work(handler)
    assert [event.error for event in recorder.of(Retried)] == ["again"]
    assert [event.error for event in recorder.of(DeadLettered)] == ["enough"]
    assert await texts(store, "t") == ["attempt 1", "attempt 2"]


async def test_a_batch_may_release_the_entry(recorder: Recorder, work: Work) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.entry.attempt_count)
        if len(attempts) == 1:
            async with delivery.batch() as step:
                step.mailboxes.release(delivery.entry)

    await work(handler)
    assert attempts == [1, 1]
    assert len(recorder.of(Released)) == 1


async def test_settling_another_entry_does_not_settle_this_one(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    other = (await store.mailboxes.send("u", 1)).entry

    async def handler(delivery: Delivery) -> None:
        held = await store.mailboxes.claim_entry(other.entry_id, consumer="handler")
        if held is None or delivery.entry.mailbox_id != "t":
            return
        async with delivery.batch() as step:
            step.mailboxes.ack(held)

    await store.mailboxes.send("t", 1)
    await until_idle(new_worker(store, handler, mailbox_id="t"))
    assert recorder.names() == ["Claimed", "Done"]
    assert (await load(store, other)).status == "accepted"


async def test_a_settled_delivery_takes_no_second_batch(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        async with delivery.batch():
            pass
        with pytest.raises(ClaimConflict, match="settled"):
            async with delivery.batch() as step:
                step.threads.append("t", says("never"))

    await work(handler)
    assert await texts(store, "t") == []
    assert recorder.names() == ["Claimed", "Done"]


async def test_only_one_of_two_concurrent_batches_settles(
    store: Store, recorder: Recorder, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        async def settle(text: str) -> None:
            async with delivery.batch() as step:
                step.threads.append("t", says(text))

        outcomes = await asyncio.gather(settle("a"), settle("b"), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == [
            "ClaimConflict",
            "NoneType",
        ]

    await work(handler)
    assert len(await texts(store, "t")) == 1
    assert recorder.names() == ["Claimed", "Done"]


async def test_an_error_after_the_entry_is_settled_is_logged_and_changes_nothing(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, work: Work
) -> None:
    async def handler(delivery: Delivery) -> None:
        async with delivery.batch():
            pass
        raise ValueError("too late")

    await work(handler)
    assert recorder.names() == ["Claimed", "Done"]
    [record] = caplog.records
    assert "failed after it had settled" in record.getMessage()
    assert record.exc_info is not None


async def test_a_handler_may_settle_through_the_store_and_continue(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        await store.mailboxes.ack(delivery.entry)
        for _ in range(4):  # past several renewals
            await advance(clock, 100)

    await store.mailboxes.send("t", 1)
    worker = new_worker(store, handler, concurrency=1, lease_ms=300)
    async with running(worker):
        await recorder.wait_for(Done)
    assert recorder.names() == ["Claimed", "Done"]


@pytest.mark.parametrize(
    ("way", "events"),
    [
        ("ack", ["Claimed", "Done"]),
        ("nack", ["Claimed", "Retried", "Claimed", "Done"]),
        ("dead_letter", ["Claimed", "DeadLettered"]),
        ("release", ["Claimed", "Released", "Claimed", "Done"]),
    ],
)
async def test_an_entry_that_a_handler_settles_through_the_store_has_the_event_of_its_outcome(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    way: str,
    events: list[str],
    new_worker: NewWorker,
) -> None:
    async def handler(delivery: Delivery) -> None:
        if recorder.names() == ["Claimed"]:
            await getattr(faulty_store.mailboxes, way)(delivery.entry)
            # or the entry would be claimed again before the event of the first claim's end
            faulty.gates["claim"] = asyncio.Event()

    await faulty_store.mailboxes.send("m", 1)
    idle = asyncio.create_task(until_idle(new_worker(faulty_store, handler, concurrency=1)))
    await recorder.until(lambda: len(recorder.events) == 2)
    faulty.gates["claim"].set()
    await idle
    assert recorder.names() == events


class _Callable:
    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    async def __call__(self, delivery: Delivery) -> None:
        self.threads.append(threading.current_thread())


async def test_any_async_callable_runs_on_the_event_loop(recorder: Recorder, work: Work) -> None:
    seen: list[threading.Thread] = []

    async def function(sink: list[threading.Thread], delivery: Delivery) -> None:
        sink.append(threading.current_thread())

    instance = _Callable()
    await work(instance)
    await work(partial(function, seen))
    await work(lambda delivery: function(seen, delivery))
    assert {*seen, *instance.threads} == {threading.main_thread()}
    assert len(recorder.of(Done)) == 3


@every_backend
async def test_a_handler_asks_and_pauses_in_one_batch_and_goes_on_with_the_answer(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    attempts: list[tuple[object, int]] = []

    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        attempts.append((entry.payload, entry.attempt_count))
        head = await delivery.thread()
        assert head is not None
        if entry.payload == "refund" and not head.thread.messages:
            async with delivery.pause(reason="approval") as step:
                step.threads.append("t", says("may I?"))
            assert delivery.settled
            return
        async with delivery.batch() as step:
            step.threads.append("t", says("done"))

    await store.mailboxes.send("t", "refund")
    await store.mailboxes.send("t", "next")
    worker = new_worker(store, handler)
    async with running(worker):
        await recorder.wait_for(Released)
        state = await store.mailboxes.load("t")
        assert state is not None
        assert state.pause_reason == "approval"
        await advance(clock, 10_000)
        async with store.batch() as step:
            step.threads.append("t", says("yes"))
            step.mailboxes.resume("t")
        await recorder.wait_for(Done, 2)
    assert attempts == [("refund", 1), ("refund", 1), ("next", 1)]
    assert await texts(store, "t") == ["may I?", "yes", "done", "done"]


async def test_a_pause_in_a_thread_commits_with_a_plain_with(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    def handler(delivery: Delivery) -> None:
        with delivery.pause(until=10**15):
            pass

    await store.mailboxes.send("t", 1)
    async with running(new_worker(store, handler)):
        await recorder.wait_for(Released)
    assert await store.mailboxes.claim(consumer="w") == ()
