"""Requesting a run in a batch of one's own: all of it is written, or nothing, and once."""

import asyncio
from typing import Any

import pytest

from tests.marks import every_backend
from treadle import (
    AlreadyExists,
    Answer,
    ClaimConflict,
    InvalidValue,
    MailboxEntry,
    Message,
    NotFound,
    NotWaiting,
    RunConflict,
    RunMeta,
    RunRequest,
    Store,
    Thread,
    ThreadChangeSet,
    blocking,
)
from treadle.testing import ManualClock
from treadle.testing._harness.dump import read_everything
from treadle.worker import Backoff, Delivery, Turn, Worker

BOXES = ("t", "other", "boss")


def wanted(run_id: str = "r", thread_id: str = "t", **fields: Any) -> RunRequest:
    return RunRequest(agent_id="helper", thread_id=thread_id, run_id=run_id, **fields)


async def texts(store: Store, thread_id: str = "t") -> list[Any]:
    page = await store.threads.list_messages(thread_id)
    return [each.message.content for each in page.messages]


async def held(store: Store) -> MailboxEntry:
    """An entry of another agent that is held."""
    await store.mailboxes.send("boss", "work", entry_id="e")
    [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="boss")
    return entry


@every_backend
async def test_it_is_what_a_request_by_itself_writes(store: Store) -> None:
    for thread_id in ("t", "other"):
        known = Message.user("before", id="m0")
        await store.threads.create(Thread(id=thread_id, resource_id="a", messages=(known,)))
    said = [Message.user("before", id="m0"), Message(role="user", content="hi")]
    alone = await store.runs.request(wanted("r1"), *said, sender_id="w")
    async with store.batch() as step:
        joined = await step.runs.request(wanted("r2", "other"), *said, sender_id="w")
        assert await store.mailboxes.load_entry("r2") is None
    assert (alone.version, alone.is_behind, alone.was_known) == (
        joined.version,
        joined.is_behind,
        joined.was_known,
    )
    one, other = [await store.mailboxes.load_entry(each) for each in ("r1", "r2")]
    assert one is not None
    assert other is not None
    request = RunRequest.of(other)
    assert request == wanted("r2", "other", resource_id="a", message_ids=("r2-1",))
    assert RunRequest.of(one).message_ids == ("r1-1",)
    assert (one.sender_id, one.origin) == (other.sender_id, other.origin)
    assert await texts(store, "other") == await texts(store) == ["before", "hi"]


@every_backend
async def test_all_of_it_commits_with_the_batch_or_nothing(store: Store) -> None:
    entry = await held(store)
    await store.mailboxes.interrupt("boss")
    before = await read_everything(store, BOXES)
    with pytest.raises(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(entry)
            await step.runs.request(wanted(parent_thread_id="boss"), Message.user("do it"))
    with pytest.raises(ZeroDivisionError):
        async with store.batch() as step:
            await step.runs.request(wanted(), Message.user("do it"))
            raise ZeroDivisionError
    assert await read_everything(store, BOXES) == before


@every_backend
async def test_a_run_that_was_asked_for_adds_nothing(store: Store) -> None:
    await store.runs.request(wanted(), Message.user("hi"))
    async with store.batch() as step:
        asked = await step.runs.request(wanted(), Message.user("hi"))
        step.mailboxes.send("other", 1)
    assert asked.was_known
    assert await texts(store) == ["hi"]
    assert len((await store.mailboxes.list_entries(mailbox_id="t")).items) == 1
    with pytest.raises(AlreadyExists):
        async with store.batch() as step:
            await step.runs.request(wanted("r", "other"), Message.user("hi"))


@every_backend
async def test_of_several_at_once_one_commits(store: Store) -> None:
    together = asyncio.Barrier(3)

    async def ask(number: int) -> None:
        async with store.batch() as step:
            await step.runs.request(wanted(), Message.user("hi"))
            step.threads.create(Thread(id=f"made-{number}"))
            await together.wait()

    results = await asyncio.gather(*map(ask, range(3)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == [
        "AlreadyExists",
        "AlreadyExists",
        "NoneType",
    ]
    assert await texts(store) == ["hi"]
    assert len((await store.threads.list()).items) == 2


@every_backend
async def test_an_answer_ends_the_wait_in_the_same_commit(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    meta = RunMeta(agent_id="a", status="waiting", metadata={"interrupts": [{"id": "i"}]})
    await store.threads.append("t", ThreadChangeSet(run_id="asks", run_meta=meta))
    resume = (Answer(interrupt_id="i"),)
    with pytest.raises(NotWaiting):
        async with store.batch() as step:
            await step.runs.request(wanted("r0", resume=(Answer(interrupt_id="none"),)))
    async with store.batch() as step:
        await step.runs.request(wanted("r1", resume=resume), sender_id="boss")
    run = await store.runs.load("asks")
    assert run is not None
    assert (run.termination_code, run.answered_by) == ("answered", "boss")

    await store.threads.append("t", ThreadChangeSet(run_id="asks2", run_meta=meta))
    with pytest.raises(RunConflict):
        async with store.batch() as step:
            await step.runs.request(wanted("r2", resume=resume))
            await store.runs.request(wanted("r3", resume=resume))
    assert await store.mailboxes.load_entry("r2") is None


async def test_arguments_are_checked_before_the_store_is_asked(store: Store) -> None:
    with pytest.raises(InvalidValue, match="it must be a RunRequest"):
        async with store.batch() as step:
            await step.runs.request("r")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="it must be a Message"):
        async with store.batch() as step:
            await step.runs.request(wanted(), "hi")  # type: ignore[arg-type]


# --- in a worker ----------------------------------------------------------------------------------


@every_backend
@pytest.mark.parametrize("plain", [False, True], ids=["asynchronous", "a plain function"])
async def test_a_handler_that_is_tried_again_asks_once(
    store: Store, clock: ManualClock, plain: bool
) -> None:
    """It asks another agent in its first step, fails, and asks again; the other one answers."""
    tries: list[bool] = []

    def request(delivery: Delivery) -> RunRequest:
        entry_id = delivery.entry.entry_id
        return wanted(f"{entry_id}-part", parent_thread_id=delivery.entry.mailbox_id)

    def fail_once() -> None:
        clock.now += 10
        if len(tries) == 1:
            raise OSError("the model is down")

    async def boss(delivery: Delivery) -> None:
        async with delivery.batch(settle=False) as step:
            asked = await step.runs.request(request(delivery), Message.user("a part"))
        tries.append(asked.was_known)
        fail_once()

    def plain_boss(delivery: Delivery) -> None:
        with delivery.batch(settle=False) as step:
            asked = delivery.call(step.runs.request(request(delivery), Message.user("a part")))
        tries.append(asked.was_known)
        fail_once()

    async def helper(delivery: Delivery) -> None:
        turn = Turn(delivery)
        async with delivery.batch() as step:
            step.threads.append("t", turn.changes(Message.assistant("done"), status="done"))

    await store.mailboxes.send("boss", "work", entry_id="e")
    backoff = Backoff(base_ms=1, factor=1, max_ms=1)
    worker = Worker(store, plain_boss if plain else boss, mailbox_id="boss", backoff=backoff)
    for _ in range(2):
        await worker.run(while_due=True)
        clock.now += 1_000
    assert tries == [False, True]
    await Worker(store, helper, mailbox_id="t").run(while_due=True)
    assert await texts(store) == ["a part", "done"]
    head = await store.threads.summary("t")
    assert head is not None
    assert head.parent_thread_id == "boss"
    run = await store.runs.load("e-part")
    assert run is not None
    assert (run.status, run.parent_thread_id) == ("done", "boss")


def test_blocking_batches_ask_too() -> None:
    with blocking.open_store("memory:") as store:
        with store.batch() as step:
            asked = step.runs.request(wanted(), Message.user("hi"), sender_id="w")
            assert store.mailboxes.load_entry("r") is None
        assert not asked.was_known
        with store.batch() as step:
            assert step.runs.request(wanted(), Message.user("hi")).was_known
        entry = store.mailboxes.load_entry("r")
        assert entry is not None
        assert entry.sender_id == "w"


# --- without `await` ------------------------------------------------------------------------------


@every_backend
async def test_a_request_that_is_not_awaited_commits_with_the_batch(store: Store) -> None:
    """It is written like all else in a batch, in its place, and the results stay with their own."""
    async with store.batch() as step:
        first = step.mailboxes.send("boss", 1)
        asked = step.runs.request(wanted(), Message.user("hi"), sender_id="w", headers={"h": "v"})
        last = step.mailboxes.send("other", 2)
        with pytest.raises(RuntimeError, match="when its block has ended"):
            _ = asked.result
        assert await store.mailboxes.load_entry("r") is None
    assert not asked.result.was_known
    assert (first.result.entry.mailbox_id, last.result.entry.mailbox_id) == ("boss", "other")
    assert await texts(store) == ["hi"]
    entry = await store.mailboxes.load_entry("r")
    assert entry is not None
    assert (entry.sender_id, entry.headers) == ("w", {"h": "v"})
    async with store.batch() as step:
        again = step.runs.request(wanted(), Message.user("hi"))
        sent = step.mailboxes.send("other", 3)
    assert again.result.was_known
    assert sent.result.entry.payload == 3
    with pytest.raises(RuntimeError, match="read its `result`"):
        await again


@every_backend
async def test_what_it_may_not_do_fails_the_batch(store: Store) -> None:
    before = await read_everything(store, BOXES)
    with pytest.raises(NotWaiting):
        async with store.batch() as step:
            step.mailboxes.send("boss", 1)
            step.runs.request(wanted("r0", resume=(Answer(interrupt_id="none"),)))
    with pytest.raises(ZeroDivisionError):
        async with store.batch() as step:
            step.runs.request(wanted(), Message.user("do it"))
            raise ZeroDivisionError
    assert await read_everything(store, BOXES) == before


async def test_a_batch_whose_commit_has_failed_looks_again(store: Store) -> None:
    batch = store.batch()
    with pytest.raises(NotFound):
        async with batch as step:
            asked = step.runs.request(wanted(), Message.user("hi"))
            step.threads.append("other", Message.user("hi"))
    await store.runs.request(wanted(), Message.user("hi"))
    await store.threads.create(Thread(id="other"))
    async with batch:
        pass
    assert asked.result.was_known
    assert await texts(store) == await texts(store, "other") == ["hi"]


async def test_a_batch_that_asks_and_is_never_entered_warns(store: Store) -> None:
    with pytest.warns(RuntimeWarning, match="never entered"):
        store.batch().runs.request(wanted())


@pytest.mark.parametrize("plain", [False, True], ids=["asynchronous", "a plain function"])
async def test_handlers_need_not_await_it(store: Store, plain: bool) -> None:
    async def boss(delivery: Delivery) -> None:
        async with delivery.batch() as step:
            step.runs.request(wanted(), Message.user("a part"))

    def plain_boss(delivery: Delivery) -> None:
        with delivery.batch() as step:
            step.runs.request(wanted(), Message.user("a part"))

    await store.mailboxes.send("boss", "work")
    await Worker(store, plain_boss if plain else boss, mailbox_id="boss").run(while_due=True)
    assert await texts(store) == ["a part"]


async def test_a_write_of_a_batch_that_is_awaited_says_what_to_do(store: Store) -> None:
    with pytest.raises(RuntimeError, match=r"leave out `await`: Send .* is a write of a batch"):
        async with store.batch() as step:
            await step.mailboxes.send("m", 1)
