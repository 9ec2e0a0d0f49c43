"""A handler's CancelledError means a stop only if the delivery itself was cancelled."""

import asyncio

from tests.worker.support import AT_ONCE, NewWorker, Recorder, block, load, until_idle

from treadle import Store
from treadle.worker import DeadLettered, Delivery, Done, Retried


async def fail(text: str) -> None:
    raise ValueError(text)


async def test_cancelling_something_else_is_a_failure_like_any_other(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            inner = asyncio.create_task(block(delivery))
            inner.cancel()
            await inner

    await until_idle(new_worker(store, handler, backoff=AT_ONCE))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "Done"]
    assert recorder.of(Retried)[0].error == "CancelledError"


async def test_a_task_group_that_fails_in_a_handler_fails_it_with_its_errors(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    """Before Python 3.13 the group leaves `task.cancelling()` raised, which proves no stop."""
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("within"))
            group.create_task(block(delivery))

    await until_idle(new_worker(store, handler, max_attempts=1))
    [event] = recorder.of(DeadLettered)
    assert "ValueError: within" in event.error


async def test_cancelling_something_else_after_a_failed_task_group_is_a_failure(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail("caught"))
        except* ValueError:
            raise asyncio.CancelledError from None

    await until_idle(new_worker(store, handler, backoff=AT_ONCE, max_attempts=2))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "DeadLettered"]


async def test_a_batch_after_a_failed_task_group_commits(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry

    async def handler(delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail("caught"))
        except* ValueError:
            async with delivery.batch():
                pass

    await until_idle(new_worker(store, handler))
    assert len(recorder.of(Done)) == 1
    assert (await load(store, sent)).attempt_count == 1
