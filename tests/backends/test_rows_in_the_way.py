"""A row that nothing refers to is in the way of a write: damage, and no conflict of writers."""

import asyncio

import pytest

from tests.backends.statements import execute, in_databases
from treadle import Committed, CorruptRecord, Message, Store, Thread

IN_THE_WAY = {
    "a message": (
        "INSERT INTO messages (thread_key, position, visibility, body)"
        " SELECT thread_key, 0, 'all', '{}' FROM threads WHERE thread_id = 't'"
    ),
    "a delta": (
        "INSERT INTO deltas (thread_key, version, committed_at, body)"
        " SELECT thread_key, 1, 1, '{}' FROM threads WHERE thread_id = 't'"
    ),
}


@in_databases
@pytest.mark.parametrize("name", IN_THE_WAY)
async def test_a_write_says_soon_what_is_in_its_way(
    store: Store, store_url: str, name: str
) -> None:
    for thread in ("t", "other"):
        await store.threads.create(Thread(id=thread))
    execute(store_url, IN_THE_WAY[name])
    async with asyncio.timeout(15):  # half of what a call has that others are faster than
        calls = (store.threads.append(each, Message.user("x")) for each in ("other", "t", "t"))
        done, *refused = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(done, Committed)
    for error in refused:
        assert isinstance(error, CorruptRecord)
        assert name.removeprefix("a ") in error.reason
