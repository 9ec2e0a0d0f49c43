"""A store that is used on two event loops at once, each in its own thread, mixes nothing up."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tests.marks import every_backend
from treadle import Message, Store, Thread, open_store
from treadle.errors import AlreadyExists

ROUNDS = 40
"""How many batches each event loop commits; it begins as many that fail."""


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    """Let each thread run for a microsecond at a time, not for five milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def write(store: Store, own: str) -> None:
    """Append to a thread of one's own and to the common one, in batches; every second one fails."""
    for number in range(2 * ROUNDS):
        try:
            async with store.batch() as step:
                step.threads.append(own, Message.user("own"))
                step.threads.append("common", Message.user("common"))
                if number % 2:
                    step.threads.create(Thread(id="common"))
        except AlreadyExists:
            assert number % 2
        await store.threads.list_summaries()


@every_backend
@pytest.mark.usefixtures("threads_switch_often")
async def test_batches_of_several_event_loops_do_not_mix(store_url: str) -> None:
    async with open_store(store_url) as store:
        for thread_id in ("one", "other", "common"):
            await store.threads.create(Thread(id=thread_id))
        await asyncio.gather(
            asyncio.to_thread(asyncio.run, write(store, "one")),
            asyncio.to_thread(asyncio.run, write(store, "other")),
        )
        counts = [await store.threads.message_count(each) for each in ("one", "other", "common")]
        assert counts == [ROUNDS, ROUNDS, 2 * ROUNDS]
