"""Batches: all of their commands take effect, in order, or none does."""

import asyncio
from typing import Any

from treadle import (
    AlreadyExists,
    ClaimConflict,
    Committed,
    GenerationMismatch,
    Interrupted,
    MailboxEntry,
    MailboxState,
    NotFound,
    Receipt,
    Sent,
    Store,
    Thread,
    TreadleError,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import entry, results_of, run, said, says, status, texts
from treadle.testing._harness.call_results import plain
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything, without_uuids
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.sample_data import MAILBOXES, WRITES, Sample, Write, fill
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


SETTLEMENTS = {
    "ack": "Ack",
    "nack": "Nack",
    "dead_letter": "DeadLetter",
    "release": "Release",
}
"""The verbs that end a claim, and their commands."""


def _settle(verb: str, entry_id: str) -> Write:
    return lambda step, _: getattr(step.mailboxes, verb)(entry_id, "wrong")


FAILURES: dict[str, tuple[Write, type[TreadleError], str]] = {
    "create of a known thread": (
        lambda step, _: step.threads.create(Thread(id="t")),
        AlreadyExists,
        "CreateThread 't'",
    ),
    "append to a missing thread": (
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
        lambda step, _: step.mailboxes.enqueue(entry("e", "keyed", dedupe_key="known")),
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
        lambda step, sample: step.mailboxes.hold(sample.mine, now=2**50),
        ClaimConflict,
        "Hold 'mine'",
    ),
    "hold of a missing entry": (
        lambda step, _: step.mailboxes.hold("none", "token"),
        ClaimConflict,
        "Hold 'none'",
    ),
    **{
        f"{verb} with a wrong token": (_settle(verb, "mine"), ClaimConflict, f"{command} 'mine'")
        for verb, command in SETTLEMENTS.items()
    },
    **{
        f"{verb} of a missing entry": (_settle(verb, "none"), NotFound, f"{command} 'none'")
        for verb, command in SETTLEMENTS.items()
    },
}
"""Writes that fail on the sample data: each with its error, and the name of its command."""

OTHER_ENDS = ("nack", "dead letter", "release")
COMPATIBLE = [write for name, write in WRITES.items() if name not in OTHER_ENDS]
"""Writes that one batch can have: a claim can only be settled once."""


async def _commit_with(store: Store, sample: Sample, write: Write, add: Write, index: int) -> None:
    """Commit two good writes, and a third one before, between or after them."""
    steps: list[Write] = [write, lambda step, _: step.runs.upsert(run("extra"))]
    steps.insert(index, add)
    async with store.batch() as step:
        for each in steps:
            each(step, sample)


@checks.add(Guarantee.ALL_OR_NOTHING, each=FAILURES)
async def a_failing_command_rolls_back_every_other(
    store: Store, add: Write, error: type[TreadleError], command: str
) -> None:
    sample = await fill(store)
    before = await read_everything(store, MAILBOXES)
    for write in WRITES.values():
        for index in (0, 1, 2):
            with refused(error):
                await _commit_with(store, sample, write, add, index)
    expect(await read_everything(store, MAILBOXES), before)
    await store.threads.append("t", says("the store works on"))
    expect(await texts(store, "t"), ["one", "two", "the store works on"])


@checks.add(Guarantee.ALL_OR_NOTHING, each=tuple(WRITES))
async def a_write_that_was_rolled_back_leaves_no_trace_for_the_next_try(
    harness: Harness, name: str
) -> None:
    failed, fresh = harness.store, await harness.open_other()
    sample, other_sample = await fill(failed), await fill(fresh)
    with refused(NotFound):
        async with failed.batch() as step:
            WRITES[name](step, sample)
            step.threads.append("none", says("x"))
    results: list[Any] = []
    for store, its_sample in ((failed, sample), (fresh, other_sample)):
        async with store.batch() as step:
            WRITES[name](step, its_sample)
        results.append(without_uuids(plain(results_of(step))))
    expect(results[0], results[1])
    found, expected = [await read_everything(each, MAILBOXES) for each in (failed, fresh)]
    expect(without_uuids(found), without_uuids(expected))


@checks.add(Guarantee.FAILING_COMMAND_IS_NAMED, each=FAILURES)
async def a_failing_command_is_named(
    store: Store, add: Write, error: type[TreadleError], command: str
) -> None:
    sample = await fill(store)
    for index in (0, 1, 2):
        with refused(error) as caught:
            await _commit_with(store, sample, WRITES["create"], add, index)
        expect(type(caught.value), error)
        expect(caught.value.command, f"command {index + 1} of 3: {command}")


@checks.add(Guarantee.FAILING_COMMAND_IS_NAMED)
async def a_single_command_that_fails_names_itself(store: Store) -> None:
    with refused(NotFound) as caught:
        await store.threads.append("none", says("x"))
    expect(caught.value.command, "command 1 of 1: AppendThread 'none'")
    assert not hasattr(caught.value, "__notes__")


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_batch_gives_the_results_of_its_commands_one_by_one(harness: Harness) -> None:
    together, apart = harness.store, await harness.open_other()
    sample, other_sample = await fill(together), await fill(apart)
    results: list[Any] = []
    async with together.batch() as step:
        for write in COMPATIBLE:
            write(step, sample)
    for write in COMPATIBLE:
        async with apart.batch() as single:
            write(single, other_sample)
        results += results_of(single)
    expect(without_uuids(plain(results_of(step))), without_uuids(plain(results)))
    found, expected = [await read_everything(each, MAILBOXES) for each in (together, apart)]
    expect(without_uuids(found), without_uuids(expected))


@checks.add(Guarantee.ONE_ORDER)
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
    expect((await store.mailboxes.list_entries()).total, 1)
    expect(await status(store, "e"), "cancelled")


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_receipt_has_one_result_for_each_command_in_order(
    store: Store, clock: ManualClock
) -> None:
    sample = await fill(store)
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
        step.mailboxes.hold(sample.mine)
        step.mailboxes.extend_lease(sample.mine)
        step.mailboxes.extend_lease("mine", "wrong")
        step.mailboxes.ack(sample.mine)
        step.mailboxes.nack(sample.held)
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
                1,
            )
        ),
    )


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_receipt_has_the_entries_that_commands_return(store: Store) -> None:
    await fill(store)
    async with store.batch() as step:
        step.mailboxes.send("new box", 1)
        step.mailboxes.cancel("queued")
        step.mailboxes.supersede("second", "newer")
        step.mailboxes.requeue("dead")
        step.mailboxes.cancel_pending("other")
        step.mailboxes.interrupt("box")
    sent, cancelled, superseded, requeued, pending, interrupted = results_of(step)
    for found, expected in zip(
        (cancelled, superseded, requeued), ("cancelled", "superseded", "queued"), strict=True
    ):
        assert isinstance(found, MailboxEntry)
        expect(found.status, expected)
    assert isinstance(sent, Sent)
    expect(sent.entry, await store.mailboxes.load_entry(sent.entry.entry_id))
    assert isinstance(pending, tuple)
    expect([each.entry_id for each in pending], ["dead"])
    expect([each.status for each in pending], ["cancelled"])
    assert isinstance(interrupted, Interrupted)
    expect([each.entry_id for each in interrupted.superseded_entries], ["held"])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def an_empty_batch_commits_nothing(store: Store) -> None:
    async with store.batch() as step:
        pass
    expect(step.receipt, Receipt(results=()))
    expect(await store.commit(()), Receipt(results=()))


@checks.add(Guarantee.FAILING_COMMAND_IS_NAMED)
async def commits_that_arrive_together_fail_independently(store: Store) -> None:
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
