"""The clock of a store is checked: what is not a time is never written."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.marks import every_backend
from treadle import InvalidValue, Store, Thread, open_store
from treadle.testing import ManualClock

CALLS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "a write": lambda store: store.mailboxes.send("m", 1),
    "a claim": lambda store: store.mailboxes.claim(consumer="w"),
    "a read": lambda store: store.documents.load("c", "k"),
    "a wait": lambda store: store.mailboxes.wait(10),
}


class Broken(ManualClock):
    """A clock that returns what a test says."""

    returned: Any = None

    def __call__(self) -> Any:
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.now if self.returned is None else self.returned


NO_TIMES: dict[str, Any] = {
    "seconds": 1_800_000_000.5,
    "NaN": math.nan,
    "text": "1800000000000",
    "true": True,
    "negative": -1,
    "too large": 2**63,
    "huge": 10**5_000,
    "list": [1],
}


@every_backend
@pytest.mark.parametrize("value", NO_TIMES.values(), ids=NO_TIMES)
async def test_a_clock_that_returns_no_time_fails_the_call_and_nothing_else(
    store_url: str, value: Any
) -> None:
    clock = Broken()
    async with open_store(store_url, clock=clock) as store:
        sent = (await store.mailboxes.send("m", 1)).entry
        clock.returned = value
        for call in CALLS.values():
            with pytest.raises(InvalidValue, match="clock"):
                await call(store)
        clock.returned = None
        await store.threads.create(Thread(id="t"))
        page = await store.mailboxes.list_entries()
        assert (page.items, page.unreadable) == ((sent,), ())


@every_backend
async def test_a_clock_that_raises_fails_the_call_and_nothing_else(store_url: str) -> None:
    clock = Broken()
    async with open_store(store_url, clock=clock) as store:
        clock.returned = ZeroDivisionError("the clock is broken")
        for call in CALLS.values():
            with pytest.raises(InvalidValue, match="clock: it failed: ZeroDivisionError"):
                await call(store)
        clock.returned = None
        await store.mailboxes.send("m", 1)


def test_what_is_no_clock_is_refused() -> None:
    with pytest.raises(InvalidValue, match="clock: it must be a function"):
        open_store("memory:", clock=5)  # type: ignore[arg-type]
