"""Batches at the façade: what is collected, and when it is committed."""

import asyncio
from collections.abc import Callable

import pytest

from tests.marks import every_backend
from treadle import (
    Batch,
    InvalidId,
    InvalidValue,
    NotFound,
    Store,
    Thread,
    ThreadChangeSet,
    TreadleError,
)

Add = Callable[[Batch], object]
INVALID: dict[str, tuple[Add, type[TreadleError], str]] = {
    "an id": (lambda step: step.threads.delete("a/b"), InvalidId, "DeleteThread"),
    "a value": (lambda step: step.mailboxes.send("box", float("nan")), InvalidValue, "Send"),
}


@every_backend
@pytest.mark.parametrize(("add", "error", "command"), INVALID.values(), ids=INVALID)
async def test_what_cannot_be_stored_is_named_and_keeps_the_whole_batch_from_being_written(
    store: Store, add: Add, error: type[TreadleError], command: str
) -> None:
    with pytest.raises(error) as caught:
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            add(step)
            step.mailboxes.send("box", 1)
    assert caught.value.command == f"command 2 of 3: {command}"
    assert caught.value.__notes__ == [
        f"nothing of the batch was written; failed at {caught.value.command}"
    ]
    assert await store.threads.load("t") is None
    assert await store.mailboxes.load("box") is None


async def test_a_batch_that_is_never_entered_warns_and_writes_nothing(store: Store) -> None:
    with pytest.warns(RuntimeWarning, match="a batch was never entered: nothing was written"):
        store.batch().threads.create(Thread(id="t"))
    assert await store.threads.load("t") is None


async def test_a_write_has_its_result_once_the_batch_is_committed(store: Store) -> None:
    async with store.batch() as step:
        created = step.threads.create(Thread(id="t"))
        sent = step.mailboxes.send("box", {"text": "hi"})
        deleted = step.runs.delete("nobody's")
        with pytest.raises(RuntimeError, match="the batch is not committed"):
            _ = sent.result
    assert created.result.version == 0
    assert sent.result.entry == await store.mailboxes.load_entry(sent.result.entry.entry_id)
    assert deleted.result is False


async def test_a_write_of_a_batch_that_failed_has_no_result(store: Store) -> None:
    with pytest.raises(NotFound):
        async with store.batch() as step:
            created = step.threads.create(Thread(id="t"))
            step.threads.append("nobody's", ThreadChangeSet())
    with pytest.raises(RuntimeError, match="the batch is not committed"):
        _ = created.result


async def test_what_is_sent_within_a_millisecond_is_claimed_in_its_order(store: Store) -> None:
    async with store.batch() as step:
        for number in range(30):
            step.mailboxes.send(f"box {number % 3}", number)
    for number in range(30, 60):
        await store.mailboxes.send(f"box {number % 3}", number)
    worked: list[int] = []
    while entries := await store.mailboxes.claim(5, consumer="worker"):
        for entry in entries:
            worked.append(entry.payload)
            await store.mailboxes.ack(entry)
    assert worked == list(range(60))


async def test_nothing_is_written_before_the_block_ends(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
        assert await store.threads.load("t") is None
        assert step.receipt is None
    assert await store.threads.load("t") is not None


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_an_exception_in_the_block_writes_nothing(
    store: Store, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            raise error
    assert await store.threads.load("t") is None
    assert step.receipt is None


async def test_a_batch_cancelled_inside_its_block_writes_nothing(store: Store) -> None:
    async def work() -> None:
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await store.threads.load("t") is None


async def test_batches_open_at_the_same_time_do_not_mix(store: Store) -> None:
    async with store.batch() as outer:
        outer.threads.create(Thread(id="outer"))
        async with store.batch() as inner:
            inner.threads.create(Thread(id="inner"))
        assert (await store.threads.list()).items == ("inner",)
    assert (await store.threads.list()).items == ("inner", "outer")


async def test_a_batch_that_is_committed_takes_nothing_more(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
    with pytest.raises(RuntimeError, match="this batch is committed; make another"):
        step.mailboxes.send("box", 1)
    with pytest.raises(RuntimeError, match="this batch is committed; make another"):
        async with step:
            raise AssertionError("it was entered")


async def test_a_batch_that_failed_can_be_tried_again(store: Store) -> None:
    step = store.batch()
    with pytest.raises(NotFound):
        async with step:
            step.threads.append("t", ThreadChangeSet())
    await store.threads.create(Thread(id="t"))
    async with step:
        pass
    assert (await store.threads.load("t") or pytest.fail("no thread")).version == 1


@every_backend
async def test_a_batch_whose_commit_was_cancelled_is_not_committed_twice(store: Store) -> None:
    step = store.batch()

    async def work() -> None:
        async with step:
            step.mailboxes.send("box", 1)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)  # as far as the commit
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(RuntimeError, match="make another one"):
        async with step:
            pass
    with pytest.raises(RuntimeError, match="make another one"):
        step.mailboxes.send("box", 2)
    assert (await store.mailboxes.count_entries()).queued <= 1


async def test_a_batch_cannot_be_entered_within_its_own_block(store: Store) -> None:
    with pytest.raises(RuntimeError, match="is in use: its block has not ended"):
        async with store.batch() as step:
            step.mailboxes.send("box", 1)
            async with step:
                pass
    assert (await store.mailboxes.count_entries()).queued == 0


async def test_a_batch_whose_block_failed_writes_nothing_later_either(store: Store) -> None:
    batch = store.batch()
    with pytest.raises(KeyError):
        async with batch as step:
            step.threads.create(Thread(id="dropped"))
            raise KeyError
    with pytest.raises(RuntimeError, match="has failed; make another one"):
        async with batch:
            pass
    with pytest.raises(RuntimeError, match="has failed; make another one"):
        batch.threads.create(Thread(id="late"))
    assert await store.threads.load("dropped") is None
