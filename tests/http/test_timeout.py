"""A body has a time to arrive; one that is there needs no timer."""

import asyncio
from collections.abc import Callable

import pytest

from treadle.http._timeout import within

LONG = 60.0


async def test_what_does_not_wait_starts_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a timer was started")

    async def work() -> str:
        return "done"

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_at", refuse)
    assert await within(LONG, work()) == "done"


async def test_the_result_of_what_waits_comes_back() -> None:
    later: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        first = await later
        await asyncio.sleep(0)
        return f"{first} done"

    asyncio.get_running_loop().call_soon(later.set_result, "all")
    assert await within(LONG, work()) == "all done"


@pytest.mark.parametrize("steps", [0, 2])
async def test_an_error_comes_through(steps: int) -> None:
    async def work() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(LONG, work())


async def endless(note: Callable[[str], object]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note("cancelled")
        await asyncio.sleep(0)  # it may still wait for something
        note("cleaned up")
        raise


async def test_what_takes_too_long_is_cancelled() -> None:
    notes: list[str] = []
    with pytest.raises(TimeoutError):
        await within(0, endless(notes.append))
    assert notes == ["cancelled", "cleaned up"]
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_who_is_cancelled_cancels_the_work() -> None:
    notes: list[str] = []
    task = asyncio.create_task(within(LONG, endless(notes.append)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes == ["cancelled", "cleaned up"]
