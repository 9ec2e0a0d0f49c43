"""A handler's CancelledError means a stop only if the delivery itself was cancelled."""

import asyncio

from tests.worker.support import AT_ONCE, Recorder, load, until_idle

from treadle import Store
from treadle.worker import DeadLettered, Delivery, Done, Retried, Worker


async def fail(text: str) -> None:
    raise ValueError(text)


async def test_a_cancellation_of_something_else_is_a_failure_like_any_other(
    store: Store, recorder: Recorder
) -> None:
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            inner = asyncio.create_task(asyncio.sleep(60))
            inner.cancel()
            await inner

    await until_idle(Worker(store, handler, backoff=AT_ONCE, on_event=recorder))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "Done"]
    assert recorder.of(Retried)[0].error == "CancelledError"


async def test_a_failed_group_of_tasks_fails_with_its_errors(
    store: Store, recorder: Recorder
) -> None:
    """Before Python 3.13 the group leaves `task.cancelling()` raised: that proves no stop."""
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("within"))
            group.create_task(asyncio.sleep(60))

    await until_idle(Worker(store, handler, max_attempts=1, on_event=recorder))
    [event] = recorder.of(DeadLettered)
    assert "ValueError: within" in event.error


async def test_a_cancellation_of_something_else_after_a_failed_group_is_a_failure(
    store: Store, recorder: Recorder
) -> None:
    await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail("caught"))
        except* ValueError:
            raise asyncio.CancelledError from None

    await until_idle(Worker(store, handler, backoff=AT_ONCE, max_attempts=2, on_event=recorder))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "DeadLettered"]


async def test_a_batch_after_a_failed_group_commits(store: Store, recorder: Recorder) -> None:
    sent = await store.mailboxes.send("m", 1)

    async def handler(delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail("caught"))
        except* ValueError:
            async with delivery.batch():
                pass

    await until_idle(Worker(store, handler, on_event=recorder))
    assert len(recorder.of(Done)) == 1
    assert (await load(store, sent)).attempt_count == 1
