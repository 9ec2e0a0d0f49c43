"""How a delivery ends, however its handler settles it."""

import pytest
from tests.worker.support import FaultyBackend, Recorder, until_idle

from weft import Store
from weft.core.commands import Ack, Hold
from weft.worker import Delivery, Worker


async def test_the_ack_of_a_handler_that_returns_is_fenced(
    faulty: FaultyBackend, faulty_store: Store
) -> None:
    async def handler(delivery: Delivery) -> None: ...

    await faulty_store.mailboxes.send("m", 1)
    await until_idle(Worker(faulty_store, handler))
    assert [type(command) for command in faulty.batches[-1]] == [Hold, Ack]


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("ack", ["Claimed", "Done"]),
        ("nack", ["Claimed", "Retried", "Claimed", "Done"]),
        ("dead_letter", ["Claimed", "DeadLettered"]),
        ("release", ["Claimed", "Released", "Claimed", "Done"]),
    ],
)
async def test_what_a_handler_settles_through_the_store_is_told_as_that(
    store: Store, recorder: Recorder, way: str, told: list[str]
) -> None:
    async def handler(delivery: Delivery) -> None:
        if recorder.names() == ["Claimed"]:
            await getattr(store.mailboxes, way)(delivery.entry)

    await store.mailboxes.send("m", 1)
    # one slot: with more, the entry is claimed anew before the first claim is told to have ended
    await until_idle(Worker(store, handler, concurrency=1, on_event=recorder))
    assert recorder.names() == told
