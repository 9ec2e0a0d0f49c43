"""Live values on a backend that does not carry them: they stay in the store object."""

import asyncio
from typing import Any

import pytest

from treadle import Store
from treadle.backends.base import CarriesLiveValues
from treadle.backends.memory import MemoryBackend


class Plain(MemoryBackend):
    """A backend without live values."""

    publish: Any = None
    follow_live: Any = None


async def test_live_values_come_and_end_with_the_store() -> None:
    backend = Plain()
    assert not isinstance(backend, CarriesLiveValues)
    store = await Store(backend).open()
    async with store.live.follow("t") as values, asyncio.timeout(10):
        await store.live.publish("t", 1)
        assert await anext(values) == 1
        await store.close()
        with pytest.raises(StopAsyncIteration):
            await anext(values)
