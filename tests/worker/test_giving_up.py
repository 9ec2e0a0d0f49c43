"""`Worker(on_dead_letter=…)`: who waits for an entry hears, in one commit, that it is given up."""

from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import AT_ONCE, NewWorker, Recorder, until_idle

from treadle import Batch, InvalidValue, Message, Store, ThreadChangeSet
from treadle.worker import DeadLettered, Delivery, Reject, Worker


async def fail(delivery: Delivery) -> None:
    if delivery.entry.mailbox_id == "m":
        raise ValueError("broken")


async def report(event: DeadLettered, step: Batch) -> None:
    step.mailboxes.send("planner", {"failed": event.entry.payload, "why": event.error})


async def payloads(store: Store) -> list[Any]:
    found = await store.mailboxes.search_entries(mailbox_id="planner")
    return [entry.payload for entry in found.items]


@every_backend
async def test_it_is_called_once_after_the_last_attempt(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    sent = (await store.mailboxes.send("m", 1)).entry
    worker = new_worker(store, fail, max_attempts=3, backoff=AT_ONCE, on_dead_letter=report)
    await until_idle(worker)
    assert await payloads(store) == [{"failed": 1, "why": "ValueError: broken"}]
    entry = await store.mailboxes.load_entry(sent.entry_id)
    assert entry is not None
    assert (entry.status, entry.attempt_count) == ("dead_letter", 3)
    assert len(recorder.of(DeadLettered)) == 1


@every_backend
async def test_each_of_several_and_a_plain_function(store: Store, new_worker: NewWorker) -> None:
    def note(event: DeadLettered, step: Batch) -> None:
        step.mailboxes.send("planner", event.entry.payload)

    async def reject(delivery: Delivery) -> None:
        if delivery.entry.mailbox_id == "m":
            raise Reject("no")

    for number in range(3):
        await store.mailboxes.send("m", number)
    await until_idle(new_worker(store, reject, on_dead_letter=note))
    assert sorted(await payloads(store)) == [0, 1, 2]


@every_backend
@pytest.mark.parametrize("how", ["raises", "is refused"])
async def test_the_entry_is_a_dead_letter_all_the_same(
    store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    async def hook(event: DeadLettered, step: Batch) -> None:
        step.mailboxes.send("planner", 1)
        if how == "raises":
            raise RuntimeError
        step.threads.append("nowhere", ThreadChangeSet(messages=(Message.user("hi"),)))

    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(new_worker(store, fail, max_attempts=1, on_dead_letter=hook))
    entry = await store.mailboxes.load_entry(sent.entry_id)
    assert entry is not None
    assert (entry.status, entry.last_error) == ("dead_letter", "ValueError: broken")
    assert not await payloads(store)
    assert len(recorder.of(DeadLettered)) == 1
    assert "on_dead_letter" in caplog.text


async def test_a_hook_of_the_wrong_kind_is_refused(store: Store) -> None:
    def of_one_argument(event: DeadLettered) -> None:
        pass

    for hook in (1, of_one_argument):
        wrong: Any = hook
        with pytest.raises(InvalidValue, match="on_dead_letter"):
            Worker(store, fail, on_dead_letter=wrong)
