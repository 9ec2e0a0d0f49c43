"""Opening that is cancelled leaves nothing open, whenever it is cancelled."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from treadle.backends.cancellation import opened, shielded


class Door:
    """Opens slowly; notes what is done to it."""

    def __init__(self, opening: BaseException | None = None, closing: BaseException | None = None):
        self.told: list[str] = []
        self._errors = {"opened": opening, "closed": closing}
        self.let_go = threading.Event()

    def open(self) -> str:
        self.let_go.wait(10)
        self._note("opened")
        return "a handle"

    def close(self) -> None:
        self._note("closed")

    def _note(self, what: str) -> None:
        error = self._errors[what]
        if error is not None:
            raise error
        self.told.append(what)


async def cancelled(door: Door, times: int = 1) -> asyncio.CancelledError:
    task = asyncio.create_task(opened(door.open, door.close))
    for _ in range(times):
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done(), "it was not waited for"
    door.let_go.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


async def test_who_is_not_cancelled_gets_what_was_opened() -> None:
    door = Door()
    door.let_go.set()
    assert await opened(door.open, door.close) == "a handle"
    assert door.told == ["opened"]


@pytest.mark.parametrize("times", [1, 3])
async def test_what_was_opened_for_nobody_is_closed(times: int) -> None:
    door = Door()
    await cancelled(door, times)
    assert door.told == ["opened", "closed"]


async def test_what_failed_to_open_is_not_closed() -> None:
    door = Door(opening=OSError("no such door"))
    error = await cancelled(door)
    assert isinstance(error.__cause__, OSError)
    assert door.told == []


async def test_an_error_of_the_closing_is_the_cause_of_the_cancellation() -> None:
    error = await cancelled(Door(closing=OSError("it sticks")))
    assert isinstance(error.__cause__, OSError)


def test_what_opens_after_the_event_loop_has_ended_is_closed() -> None:
    door = Door()

    async def leave() -> None:
        task = asyncio.create_task(opened(door.open, door.close))
        await asyncio.sleep(0.01)
        for one in asyncio.all_tasks() - {asyncio.current_task()}:
            one.cancel()  # as asyncio.run does at its end
        with pytest.raises(asyncio.CancelledError):
            await task
        door.let_go.set()

    asyncio.run(leave())
    until = time.monotonic() + 10
    while door.told != ["opened", "closed"] and time.monotonic() < until:
        time.sleep(0.001)
    assert door.told == ["opened", "closed"]


async def raises() -> None:
    raise ValueError("the work failed")


async def sleeps(then: Callable[[], None]) -> str:
    await asyncio.sleep(0.05)
    then()
    return "done"


async def test_shielded_work_comes_to_its_end_and_only_then_is_the_cancellation_passed_on() -> None:
    ended: list[str] = []
    task = asyncio.create_task(shielded(sleeps(lambda: ended.append("ended"))))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


async def test_shielded_work_that_fails_raises_its_error() -> None:
    with pytest.raises(ValueError, match="the work failed"):
        await shielded(raises())
