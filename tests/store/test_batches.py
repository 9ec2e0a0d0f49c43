"""Batches: all of their commands, in order, or none."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import entry, run, said, says, status, texts
from tests.clocks import ManualClock, TickingClock
from tests.documents import read_everything
from tests.store.stock import MAILBOXES, WRITES, Stock, fill
from weft import (
    AlreadyExists,
    Batch,
    ClaimConflict,
    Committed,
    GenerationMismatch,
    Interrupted,
    InvalidId,
    InvalidValue,
    MailboxEntry,
    MailboxState,
    NotFound,
    Receipt,
    Store,
    Thread,
    VersionConflict,
    WeftError,
    open_store,
)

Add = Callable[[Batch, Stock], None]
FAILURES: dict[str, tuple[Add, type[WeftError], str]] = {
    "create of a thread that is there": (
        lambda step, _: step.threads.create(Thread(id="t")),
        AlreadyExists,
        "CreateThread 't'",
    ),
    "append to no thread": (
        lambda step, _: step.threads.append("none", says("x")),
        NotFound,
        "AppendThread 'none'",
    ),
    "append at a wrong version": (
        lambda step, _: step.threads.append("t", says("x", run_id="r"), expected=99),
        VersionConflict,
        "AppendThread 't'",
    ),
    "enqueue of a known id": (
        lambda step, _: step.mailboxes.enqueue(entry("mine", "other")),
        AlreadyExists,
        "Enqueue 'mine'",
    ),
    "enqueue of a known dedupe key": (
        lambda step, _: step.mailboxes.enqueue(entry("e", dedupe_key="known", generation=0)),
        AlreadyExists,
        "Enqueue 'e'",
    ),
    "enqueue of another generation": (
        lambda step, _: step.mailboxes.enqueue(entry("e", "third")),
        GenerationMismatch,
        "Enqueue 'e'",
    ),
    "hold with a wrong token": (
        lambda step, _: step.mailboxes.hold("mine", "wrong"),
        ClaimConflict,
        "Hold 'mine'",
    ),
    "hold after the lease": (
        lambda step, stock: step.mailboxes.hold(stock.mine, now=2**50),
        ClaimConflict,
        "Hold 'mine'",
    ),
    "hold of nothing": (
        lambda step, _: step.mailboxes.hold("none", "token"),
        ClaimConflict,
        "Hold 'none'",
    ),
    "ack with a wrong token": (
        lambda step, _: step.mailboxes.ack("mine", "wrong"),
        ClaimConflict,
        "Ack 'mine'",
    ),
    "nack with a wrong token": (
        lambda step, _: step.mailboxes.nack("mine", "wrong"),
        ClaimConflict,
        "Nack 'mine'",
    ),
    "dead letter with a wrong token": (
        lambda step, _: step.mailboxes.dead_letter("mine", "wrong"),
        ClaimConflict,
        "DeadLetter 'mine'",
    ),
    "release with a wrong token": (
        lambda step, _: step.mailboxes.release("mine", "wrong"),
        ClaimConflict,
        "Release 'mine'",
    ),
    "ack of nothing": (
        lambda step, _: step.mailboxes.ack("none", "token"),
        NotFound,
        "Ack 'none'",
    ),
    "nack of nothing": (
        lambda step, _: step.mailboxes.nack("none", "token"),
        NotFound,
        "Nack 'none'",
    ),
    "dead letter of nothing": (
        lambda step, _: step.mailboxes.dead_letter("none", "token"),
        NotFound,
        "DeadLetter 'none'",
    ),
    "release of nothing": (
        lambda step, _: step.mailboxes.release("none", "token"),
        NotFound,
        "Release 'none'",
    ),
}
INVALID: dict[str, tuple[Add, type[WeftError], str]] = {
    "an id": (lambda step, _: step.threads.delete("a/b"), InvalidId, "DeleteThread"),
    "a value": (lambda step, _: step.mailboxes.send("box", float("nan")), InvalidValue, "Send"),
}


@pytest.mark.parametrize(("add", "error", "command"), FAILURES.values(), ids=FAILURES)
async def test_a_command_that_fails_takes_every_other_back_and_is_named(
    store: Store, add: Add, error: type[WeftError], command: str
) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    for name, write in WRITES.items():
        for place in (1, 2, 3):
            with pytest.raises(error) as caught:
                async with store.batch() as step:
                    steps: list[Add] = [write, lambda step, _: step.runs.upsert(run("extra"))]
                    for each in (*steps[: place - 1], add, *steps[place - 1 :]):
                        each(step, stock)
            assert type(caught.value) is error, name
            assert caught.value.command == f"command {place} of 3: {command}", name
            assert f"command {place} of 3" in caught.value.__notes__[0], name
            assert step.receipt is None, name
            assert await read_everything(store, MAILBOXES) == before, name
    await store.threads.append("t", says("the store works on"))
    assert await texts(store, "t") == ["one", "two", "the store works on"]


@pytest.mark.parametrize(("add", "error", "command"), INVALID.values(), ids=INVALID)
async def test_what_cannot_be_stored_keeps_the_whole_batch_from_being_written_and_is_named(
    store: Store, add: Add, error: type[WeftError], command: str
) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    for name, write in WRITES.items():
        for place, steps in enumerate(((add, write), (write, add)), start=1):
            with pytest.raises(error) as caught:
                async with store.batch() as step:
                    for each in steps:
                        each(step, stock)
            assert caught.value.command == f"command {place} of 2: {command}", name
            assert f"command {place} of 2" in caught.value.__notes__[0], name
            assert await read_everything(store, MAILBOXES) == before, name


async def test_a_single_command_that_fails_names_itself(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.threads.append("none", says("x"))
    assert caught.value.command == "command 1 of 1: AppendThread 'none'"
    assert not hasattr(caught.value, "__notes__")


async def test_an_error_keeps_its_command_when_it_is_sent_to_another_process(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.threads.append("none", says("x"))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.key, copy.command) == ("none", caught.value.command)
    assert str(copy) == str(caught.value)


async def test_a_batch_of_every_kind_of_write_commits(store: Store) -> None:
    stock = await fill(store)
    separate = [name for name in WRITES if name not in ("nack", "dead letter", "release")]
    for name in separate:
        async with store.batch() as step:
            WRITES[name](step, stock)
            step.runs.upsert(run(f"after {name}"))
        assert await store.runs.load(f"after {name}") is not None


async def test_each_command_sees_what_those_before_it_did(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
        step.threads.append("t", says("one"), expected=0)
        step.threads.append("t", says("two"), expected=1)
        step.threads.delete("t")
        step.threads.create(Thread(id="t", messages=(said("three"),)))
        step.mailboxes.interrupt("box")
        step.mailboxes.enqueue(entry("e", generation=1, dedupe_key="k"))
        step.mailboxes.send("box", None, dedupe_key="k")
        step.mailboxes.cancel("e")
        step.mailboxes.cancel("e")
    assert await texts(store, "t") == ["three"]
    assert (await store.mailboxes.list()).total == 1
    assert await status(store, "e") == "cancelled"


async def test_a_receipt_has_one_result_for_each_command_in_order(
    store: Store, clock: ManualClock
) -> None:
    stock = await fill(store)
    async with store.batch() as step:
        step.threads.create(Thread(id="new"))
        step.threads.append("new", says("x"))
        step.threads.save(Thread(id="new"))
        step.threads.delete("new")
        step.threads.delete("new")
        step.runs.upsert(run("new"))
        step.runs.delete("new")
        step.runs.delete("new")
        step.mailboxes.enqueue(entry("new"))
        step.mailboxes.ensure("box")
        step.mailboxes.hold(stock.mine)
        step.mailboxes.extend_lease(stock.mine)
        step.mailboxes.extend_lease("mine", "wrong")
        step.mailboxes.ack(stock.mine)
        step.mailboxes.nack(stock.held)
        step.mailboxes.cancel("none")
        step.mailboxes.purge(100)
    assert step.receipt == Receipt(
        results=(
            Committed(version=0),
            Committed(version=1),
            Committed(version=2),
            True,
            False,
            None,
            True,
            False,
            None,
            MailboxState(mailbox_id="box", updated_at=clock.now),
            None,
            True,
            False,
            None,
            None,
            None,
            2,
        )
    )


async def test_a_receipt_has_the_entries_that_commands_give(store: Store) -> None:
    await fill(store)
    async with store.batch() as step:
        step.mailboxes.send("new box", 1)
        step.mailboxes.cancel("queued")
        step.mailboxes.supersede("second", "newer")
        step.mailboxes.requeue("dead")
        step.mailboxes.cancel_pending("other")
        step.mailboxes.interrupt("box")
    assert step.receipt is not None
    sent, cancelled, superseded, requeued, pending, interrupted = step.receipt.results
    for found, expected in zip(
        (cancelled, superseded, requeued), ("cancelled", "superseded", "queued"), strict=True
    ):
        assert isinstance(found, MailboxEntry)
        assert found.status == expected
    assert isinstance(sent, MailboxEntry)
    assert sent == await store.mailboxes.load(sent.entry_id)
    assert isinstance(pending, tuple)
    assert [each.entry_id for each in pending] == ["dead"]
    assert isinstance(interrupted, Interrupted)
    assert [each.entry_id for each in interrupted.superseded_entries] == ["held"]


async def test_nothing_is_written_before_the_block_ends(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t"))
        assert await store.threads.load("t") is None
        assert step.receipt is None
    assert await store.threads.load("t") is not None


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
async def test_an_exception_in_the_block_writes_nothing(
    store: Store, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            raise error
    assert await store.threads.load("t") is None
    assert step.receipt is None


async def test_an_empty_batch_commits_nothing(store: Store) -> None:
    async with store.batch() as step:
        pass
    assert step.receipt == Receipt(results=())
    assert await store.commit(()) == Receipt(results=())


async def test_batches_open_at_the_same_time_do_not_mix(store: Store) -> None:
    async with store.batch() as outer:
        outer.threads.create(Thread(id="outer"))
        async with store.batch() as inner:
            inner.threads.create(Thread(id="inner"))
        assert (await store.threads.list()).items == ("inner",)
    assert (await store.threads.list()).items == ("inner", "outer")


async def test_all_commands_of_a_batch_happen_at_one_time(store_url: str) -> None:
    async with open_store(store_url, clock=TickingClock()) as store:
        async with store.batch() as step:
            for key in ("a", "b"):
                step.threads.create(Thread(id=key))
                step.mailboxes.send(key, None)
        heads = [await store.threads.load(key) for key in ("a", "b")]
        entries = (await store.mailboxes.list()).items
    times = {head.thread.metadata.created_at for head in heads if head}
    times |= {each.created_at for each in entries}
    assert len(times) == 1


async def test_a_command_that_brings_its_time_happens_then(
    store: Store, clock: ManualClock
) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="a"), now=7)
        step.threads.create(Thread(id="b"))
        step.mailboxes.send("box", None, delay_ms=3, now=9)
    heads = [await store.threads.load(key) for key in ("a", "b")]
    assert [head and head.thread.metadata.updated_at for head in heads] == [7, clock.now]
    (sent,) = (await store.mailboxes.list()).items
    assert (sent.created_at, sent.available_at) == (9, 12)


async def test_of_commits_that_arrive_together_each_fails_for_itself(store: Store) -> None:
    await store.threads.create(Thread(id="t"))

    async def commit(number: int) -> Any:
        async with store.batch() as step:
            step.threads.append("t", says(str(number)))
            step.runs.upsert(run(f"r{number}"))
            if number % 3 == 0:
                step.threads.append("none", says("x"))
        return step.receipt

    results = await asyncio.gather(*map(commit, range(30)), return_exceptions=True)
    failed = [number for number, result in enumerate(results) if isinstance(result, NotFound)]
    assert failed == list(range(0, 30, 3))
    done = [str(number) for number in range(30) if number not in failed]
    assert await texts(store, "t") == done
    assert (await store.runs.list()).total == len(done)
    receipts = [result for result in results if isinstance(result, Receipt)]
    assert [receipt.results[0] for receipt in receipts] == [
        Committed(version=version) for version in range(1, 21)
    ]
