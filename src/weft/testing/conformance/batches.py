"""Batches: all of their commands, in order, or none."""

import asyncio
from collections.abc import Callable
from typing import Any

from weft import (
    AlreadyExists,
    Batch,
    ClaimConflict,
    Committed,
    GenerationMismatch,
    Interrupted,
    MailboxEntry,
    MailboxState,
    NotFound,
    Receipt,
    Store,
    Thread,
    VersionConflict,
    WeftError,
)
from weft.backends.base import Guarantee
from weft.testing.builders import entry, run, said, says, status, texts
from weft.testing.clock import ManualClock, TickingClock
from weft.testing.conformance.bench import Bench
from weft.testing.conformance.check import Facet
from weft.testing.contents import read_everything
from weft.testing.expect import expect, refused
from weft.testing.stock import MAILBOXES, WRITES, Stock, Write, fill

facet = Facet("commit")


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


async def _commit_with(store: Store, stock: Stock, write: Write, add: Add, place: int) -> None:
    """Commit two good writes, with what `add` adds before, between or after them."""
    steps: list[Add] = [write, lambda step, _: step.runs.upsert(run("extra"))]
    steps.insert(place, add)
    async with store.batch() as step:
        for each in steps:
            each(step, stock)


@facet.check(Guarantee.ALL_OR_NOTHING, each=FAILURES)
async def a_command_that_fails_takes_every_other_back(
    store: Store, add: Add, error: type[WeftError], command: str
) -> None:
    stock = await fill(store)
    before = await read_everything(store, MAILBOXES)
    for write in WRITES.values():
        for place in (0, 1, 2):
            with refused(error):
                await _commit_with(store, stock, write, add, place)
            expect(await read_everything(store, MAILBOXES), before)
    await store.threads.append("t", says("the store works on"))
    expect(await texts(store, "t"), ["one", "two", "the store works on"])


@facet.check(Guarantee.FAILING_COMMAND_IS_NAMED, each=FAILURES)
async def a_command_that_fails_is_named(
    store: Store, add: Add, error: type[WeftError], command: str
) -> None:
    stock = await fill(store)
    for place in (0, 1, 2):
        with refused(error) as caught:
            await _commit_with(store, stock, WRITES["create"], add, place)
        expect(type(caught.value), error)
        expect(caught.value.command, f"command {place + 1} of 3: {command}")


@facet.check(Guarantee.FAILING_COMMAND_IS_NAMED)
async def a_single_command_that_fails_names_itself(store: Store) -> None:
    with refused(NotFound) as caught:
        await store.threads.append("none", says("x"))
    expect(caught.value.command, "command 1 of 1: AppendThread 'none'")
    assert not hasattr(caught.value, "__notes__")


@facet.check(Guarantee.ALL_OR_NOTHING)
async def a_batch_of_every_kind_of_write_commits(store: Store) -> None:
    stock = await fill(store)
    separate = [name for name in WRITES if name not in ("nack", "dead letter", "release")]
    for name in separate:
        async with store.batch() as step:
            WRITES[name](step, stock)
            step.runs.upsert(run(f"after {name}"))
        assert await store.runs.load(f"after {name}") is not None


@facet.check(Guarantee.ONE_ORDER)
async def each_command_sees_what_those_before_it_did(store: Store) -> None:
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
    expect(await texts(store, "t"), ["three"])
    expect((await store.mailboxes.list()).total, 1)
    expect(await status(store, "e"), "cancelled")


@facet.check(Guarantee.ALL_OR_NOTHING)
async def a_receipt_has_one_result_for_each_command_in_order(
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
    expect(
        step.receipt,
        Receipt(
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
        ),
    )


@facet.check(Guarantee.ALL_OR_NOTHING)
async def a_receipt_has_the_entries_that_commands_give(store: Store) -> None:
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
        expect(found.status, expected)
    assert isinstance(sent, MailboxEntry)
    expect(sent, await store.mailboxes.load(sent.entry_id))
    assert isinstance(pending, tuple)
    expect([each.entry_id for each in pending], ["dead"])
    assert isinstance(interrupted, Interrupted)
    expect([each.entry_id for each in interrupted.superseded_entries], ["held"])


@facet.check(Guarantee.ALL_OR_NOTHING)
async def an_empty_batch_commits_nothing(store: Store) -> None:
    async with store.batch() as step:
        pass
    expect(step.receipt, Receipt(results=()))
    expect(await store.commit(()), Receipt(results=()))


@facet.check(Guarantee.TIME_IS_GIVEN)
async def all_commands_of_a_batch_happen_at_one_time(bench: Bench) -> None:
    store = await bench.open(TickingClock(), bench.elsewhere())
    async with store.batch() as step:
        for key in ("a", "b"):
            step.threads.create(Thread(id=key))
            step.mailboxes.send(key, None)
    heads = [await store.threads.load(key) for key in ("a", "b")]
    entries = (await store.mailboxes.list()).items
    times = {head.thread.metadata.created_at for head in heads if head}
    times |= {each.created_at for each in entries}
    expect(len(times), 1)


@facet.check(Guarantee.TIME_IS_GIVEN)
async def a_command_that_brings_its_time_happens_then(store: Store, clock: ManualClock) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="a"), now=7)
        step.threads.create(Thread(id="b"))
        step.mailboxes.send("box", None, delay_ms=3, now=9)
    heads = [await store.threads.load(key) for key in ("a", "b")]
    expect([head and head.thread.metadata.updated_at for head in heads], [7, clock.now])
    (sent,) = (await store.mailboxes.list()).items
    expect((sent.created_at, sent.available_at), (9, 12))


@facet.check(Guarantee.FAILING_COMMAND_IS_NAMED)
async def of_commits_that_arrive_together_each_fails_for_itself(store: Store) -> None:
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
    expect(failed, list(range(0, 30, 3)))
    done = [str(number) for number in range(30) if number not in failed]
    expect(await texts(store, "t"), done)
    expect((await store.runs.list()).total, len(done))
    receipts = [result for result in results if isinstance(result, Receipt)]
    expect(
        [receipt.results[0] for receipt in receipts],
        [Committed(version=version) for version in range(1, 21)],
    )
