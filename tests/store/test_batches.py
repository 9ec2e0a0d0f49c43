"""Batches at the façade: what is collected, checked, and never sent to the backend."""

import asyncio
import pickle
from collections.abc import Callable

import pytest

from weft import Batch, InvalidId, InvalidValue, NotFound, Store, Thread, WeftError
from weft.testing.builders import says
from weft.testing.contents import read_everything
from weft.testing.stock import MAILBOXES, WRITES, Stock, fill

Add = Callable[[Batch, Stock], None]
INVALID: dict[str, tuple[Add, type[WeftError], str]] = {
    "an id": (lambda step, _: step.threads.delete("a/b"), InvalidId, "DeleteThread"),
    "a value": (lambda step, _: step.mailboxes.send("box", float("nan")), InvalidValue, "Send"),
}


@pytest.mark.parametrize(("add", "error", "command"), INVALID.values(), ids=INVALID)
async def test_what_cannot_be_stored_keeps_the_whole_batch_from_being_written_and_is_named(
    store: Store, add: Add, error: type[WeftError], command: str
) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    for name, write in WRITES.items():
        for place, steps in enumerate(((add, write), (write, add)), start=1):
            with pytest.raises(error) as caught:
                async with store.batch() as step:
                    for each in steps:
                        each(step, stock)
            assert caught.value.command == f"command {place} of 2: {command}", name
            assert f"command {place} of 2" in caught.value.__notes__[0], name
            assert await read_everything(store, MAILBOXES) == before, name


async def test_an_error_keeps_its_command_when_it_is_sent_to_another_process(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.threads.append("none", says("x"))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.key, copy.command) == ("none", caught.value.command)
    assert str(copy) == str(caught.value)


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


async def test_batches_open_at_the_same_time_do_not_mix(store: Store) -> None:
    async with store.batch() as outer:
        outer.threads.create(Thread(id="outer"))
        async with store.batch() as inner:
            inner.threads.create(Thread(id="inner"))
        assert (await store.threads.list()).items == ("inner",)
    assert (await store.threads.list()).items == ("inner", "outer")


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
