"""A group thread: calls that arrive while it works become one group, so one sync serves many."""

import asyncio
import threading

import pytest

from treadle.backends._group_thread import GROUP, HEAVY, GroupThread
from treadle.errors import StoreClosed


class Work:
    """Carries out groups of numbers, the first one only when it is released."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.has_begun = threading.Event()
        self.released = threading.Event()

    def carry_out(self, calls: list[int]) -> list[int]:
        self.groups.append(calls)
        self.has_begun.set()
        assert self.released.wait(10)
        return [-call for call in calls]


async def test_calls_that_arrive_while_a_group_is_carried_out_are_the_next_group() -> None:
    work = Work()
    thread = GroupThread("test", work.carry_out)
    thread.start()
    first = thread.ask(0)
    await asyncio.to_thread(work.has_begun.wait, 10)
    others = [thread.ask(number) for number in range(1, GROUP + 10)]
    work.released.set()
    assert await asyncio.gather(first, *others) == [-number for number in range(GROUP + 10)]
    await thread.close()
    assert [len(group) for group in work.groups] == [1, GROUP, 9]


async def test_calls_that_weigh_much_are_not_all_in_one_group() -> None:
    """Those who make them do not all wait for each other then."""
    work = Work()
    thread = GroupThread("test", work.carry_out, weigh=lambda call: call)
    thread.start()
    half = HEAVY // 2
    calls = [thread.ask(0)]
    await asyncio.to_thread(work.has_begun.wait, 10)
    calls += [thread.ask(weight) for weight in (half, half, 1, 2, HEAVY + 1, 3)]
    work.released.set()
    await asyncio.gather(*calls)
    await thread.close()
    assert work.groups == [[0], [half, half], [1, 2, HEAVY + 1], [3]]


async def test_an_unexpected_error_fails_the_calls_and_the_thread_goes_on() -> None:
    def carry_out(calls: list[int]) -> list[int]:
        return [1 // call for call in calls]

    thread = GroupThread("test", carry_out)
    thread.start()
    with pytest.raises(ZeroDivisionError):
        await thread.ask(0)
    assert await thread.ask(1) == 1
    await thread.close()


async def test_a_call_that_comes_while_another_thread_closes_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def negate(calls: list[int]) -> list[int]:
        return [-call for call in calls]

    thread = GroupThread("test", negate)
    thread.start()
    queue = thread._queue  # pyright: ignore[reportPrivateUsage] - to come between

    def close() -> None:
        thread.stop()
        thread.join()

    closing = threading.Thread(target=close)

    class SlowQueue:
        """Hands a call over when the thread has ended, unless that waits for the call."""

        get, empty = queue.get, queue.empty

        def put(self, request: object) -> None:
            if request is not None:
                closing.start()
                closing.join(0.2)
            queue.put(request)  # type: ignore[arg-type]

    monkeypatch.setattr(thread, "_queue", SlowQueue())
    async with asyncio.timeout(5):
        assert await thread.ask(7) == -7
    closing.join()
    with pytest.raises(StoreClosed):
        thread.ask(8)
