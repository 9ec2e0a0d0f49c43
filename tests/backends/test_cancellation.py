"""Opening that is cancelled leaves nothing open, whenever it is cancelled."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from treadle.backends._deadline import Patience
from treadle.backends.cancellation import opened, shielded


class Door:
    """Opens when it is released; records what is done to it."""

    def __init__(self, opening: BaseException | None = None, closing: BaseException | None = None):
        self.record: list[str] = []
        self.is_opening = threading.Event()
        self.is_closed = threading.Event()
        self.released = threading.Event()
        self._opening = opening
        self._closing = closing

    def open(self, patience: Patience) -> str:
        self.patience = patience
        self.is_opening.set()
        assert self.released.wait(10)
        if self._opening is not None:
            raise self._opening
        self.record.append("opened")
        return "a handle"

    def close(self) -> None:
        if self._closing is not None:
            raise self._closing
        self.record.append("closed")
        self.is_closed.set()


async def cancelled_while_opening(door: Door, times: int = 1) -> asyncio.CancelledError:
    """The error of a caller that is cancelled before the door has opened."""
    task = asyncio.create_task(opened(door.open, door.close, 60))
    await asyncio.to_thread(door.is_opening.wait, 10)
    for _ in range(times):
        task.cancel()
        await turns_of_the_loop()
    assert not task.done(), "it did not wait"
    assert door.patience.is_over, "the door does not learn that nobody waits"
    door.released.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


async def turns_of_the_loop() -> None:
    """Let everything that is ready run, and what becomes ready by that."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_caller_that_is_not_cancelled_gets_the_handle() -> None:
    door = Door()
    door.released.set()
    assert await opened(door.open, door.close, 60) == "a handle"
    assert door.record == ["opened"]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_handle_for_a_cancelled_caller_is_closed(times: int) -> None:
    door = Door()
    await cancelled_while_opening(door, times)
    assert door.record == ["opened", "closed"]


async def test_an_opening_that_failed_is_not_closed() -> None:
    door = Door(opening=OSError("no such door"))
    error = await cancelled_while_opening(door)
    assert isinstance(error.__cause__, OSError)
    assert door.record == []


async def test_an_error_of_closing_is_the_cause_of_the_cancellation() -> None:
    error = await cancelled_while_opening(Door(closing=OSError("it sticks")))
    assert isinstance(error.__cause__, OSError)


def test_a_handle_that_opens_after_the_event_loop_has_ended_is_closed() -> None:
    door = Door()

    async def leave() -> None:
        task = asyncio.create_task(opened(door.open, door.close, 60))
        await asyncio.to_thread(door.is_opening.wait, 10)
        for one in asyncio.all_tasks() - {asyncio.current_task()}:
            one.cancel()  # as asyncio.run does at its end
        with pytest.raises(asyncio.CancelledError):
            await task
        door.released.set()

    asyncio.run(leave())
    assert door.is_closed.wait(10)
    assert door.record == ["opened", "closed"]


async def raises() -> None:
    raise ValueError("the work failed")


async def waits(until: asyncio.Event, then: Callable[[], None]) -> str:
    await until.wait()
    then()
    return "done"


async def test_a_cancellation_of_shielded_work_is_raised_when_the_work_has_ended() -> None:
    ended: list[str] = []
    until = asyncio.Event()
    task = asyncio.create_task(shielded(waits(until, lambda: ended.append("ended"))))
    await turns_of_the_loop()
    task.cancel()
    await turns_of_the_loop()
    assert not task.done()
    until.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


async def test_shielded_work_that_fails_raises_its_error() -> None:
    with pytest.raises(ValueError, match="the work failed"):
        await shielded(raises())


async def test_what_could_not_begin_is_not_opened_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool queues the work before it starts a thread, and does it with the next one."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    start = threading.Thread.start
    is_open: list[bool] = []

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        await opened(lambda _: is_open.append(True), is_open.clear, 1)
    monkeypatch.setattr(threading.Thread, "start", start)
    await asyncio.to_thread(lambda: None)
    assert not is_open
