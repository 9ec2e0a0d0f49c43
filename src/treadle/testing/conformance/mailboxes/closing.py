"""Closing: the runs that work on an entry end in the commit that ends it."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from treadle import Batch, MailboxEntry, NotFound, RunConflict, RunMeta, Store, Thread
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_deletion import DELETION_REASON
from treadle.core.runs import RunRecord, RunStatus
from treadle.testing._harness.builders import (
    claim_by_id,
    end,
    enqueue,
    entry,
    loaded_run,
    run,
    says,
    status,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

MANY = 300
End = Callable[[Batch, MailboxEntry], object]
ENDINGS: dict[str, tuple[End, str, str | None]] = {
    "dead letter": (
        lambda step, held: step.mailboxes.dead_letter(held, error="broken"),
        "dead_letter",
        "broken",
    ),
    "dead letter without an error": (
        lambda step, held: step.mailboxes.dead_letter(held),
        "dead_letter",
        None,
    ),
    "cancel": (
        lambda step, held: step.mailboxes.cancel(held.entry_id),
        "cancelled",
        "cancelled",
    ),
    "supersede": (
        lambda step, held: step.mailboxes.supersede(held.entry_id, "newer"),
        "superseded",
        "newer",
    ),
    "withdraw": (
        lambda step, held: step.mailboxes.release(held) and step.mailboxes.withdraw("box", "key"),
        "cancelled",
        "withdrawn",
    ),
    "cancel pending": (
        lambda step, held: step.mailboxes.cancel_pending("box"),
        "cancelled",
        "cancelled",
    ),
    "interrupt": (
        lambda step, held: step.mailboxes.interrupt("box"),
        "superseded",
        "superseded by interrupt",
    ),
    "deletion": (
        lambda step, held: step.mailboxes.delete("box"),
        "cancelled",
        DELETION_REASON,
    ),
}
"""Each way in which an entry ends that is not accepted; the code and the detail of its runs."""
ACTIVE: tuple[RunStatus, ...] = ("running", "waiting")


def working(run_id: str, status: RunStatus = "running", entry_id: str = "e") -> RunRecord:
    """A run that works on an entry."""
    return run(run_id, status=status, source_mailbox_entry_id=entry_id, input_tokens=7)


async def held(store: Store, entry_id: str = "e") -> MailboxEntry:
    """An entry that was sent, and is claimed."""
    await store.mailboxes.enqueue(entry(entry_id, closes_runs=True, dedupe_key="key"))
    return await claim_by_id(store, entry_id)


async def statuses(store: Store, *run_ids: str) -> list[str]:
    """The statuses of runs that are there."""
    return [(await loaded_run(store, run_id)).status for run_id in run_ids]


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=ENDINGS)
async def active_runs_are_closed_with_their_entry(
    store: Store, clock: ManualClock, case: tuple[End, str, str | None]
) -> None:
    finish, code, detail = case
    claimed = await held(store)
    for active in ACTIVE:
        await store.runs.upsert(working(active, active))
    clock.now += 5
    async with store.batch() as step:
        finish(step, claimed)
    for active in ACTIVE:
        expected = run(
            active,
            status="done",
            source_mailbox_entry_id="e",
            input_tokens=7,
            termination_code=code,
            termination_detail=detail,
            updated_at=clock.now,
        )
        expect(await loaded_run(store, active), expected)
    expect(await store.runs.find_active("t"), None)
    expect((await store.runs.count()).done, 2)
    expect((await store.runs.search(statuses=ACTIVE)).items, ())


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=["ack", "nack", "release", "extend_lease"])
async def runs_go_on_when_their_entry_is_accepted_or_goes_on(store: Store, how: str) -> None:
    claimed = await held(store)
    await store.runs.upsert(working("r", "waiting"))
    await getattr(store.mailboxes, how)(claimed)
    expect(await loaded_run(store), working("r", "waiting"))


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=ENDINGS)
async def runs_that_are_done_and_those_of_other_entries_stay(
    store: Store, case: tuple[End, str, str | None]
) -> None:
    claimed = await held(store)
    await enqueue(store, entry("e2", "other", closes_runs=True), entry("E", "other"))
    runs = [
        run("done", status="done", source_mailbox_entry_id="e", termination_code="natural"),
        working("other", "waiting", "e2"),
        working("upper", "waiting", "E"),
        run("free"),
    ]
    for each in runs:
        await store.runs.upsert(each)
    async with store.batch() as step:
        case[0](step, claimed)
    for each in runs:
        expect(await loaded_run(store, each.run_id), each)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, "durable", each=["cancel", "interrupt", "deletion"])
async def runs_are_closed_after_the_store_was_reopened(harness: Harness, how: str) -> None:
    finish, code, _ = ENDINGS[how]
    claimed = await held(harness.store)
    await harness.store.runs.upsert(working("r"))
    await harness.store.close()
    store = await harness.open()
    async with store.batch() as step:
        finish(step, claimed)
    expect(await statuses(store, "r"), ["done"])
    expect((await loaded_run(store, "r")).termination_code, code)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_entry_enqueued_as_it_is_leaves_runs_alone(store: Store) -> None:
    await enqueue(store, entry("e"))
    await store.runs.upsert(working("r"))
    await store.mailboxes.cancel("e")
    expect(await loaded_run(store), working("r"))


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_entry_that_was_sent_closes_its_runs(store: Store) -> None:
    sent = (await store.mailboxes.send("box", "work", delay_ms=5)).entry
    await store.runs.upsert(working("r", "waiting", sent.entry_id))
    await store.mailboxes.interrupt("box")
    expect(await statuses(store, "r"), ["done"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=["accepted", "cancelled", "dead_letter"])
async def an_entry_that_has_ended_closes_nothing(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e", closes_runs=True))
    await end(store, "e", how)
    await store.runs.upsert(working("r"))
    await store.mailboxes.cancel("e")
    await store.mailboxes.interrupt("box")
    expect(await loaded_run(store), working("r"))
    await store.mailboxes.delete("box")
    expect(await loaded_run(store), working("r"))


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=["cancel", "interrupt", "deletion"])
async def runs_and_entries_of_the_same_batch_are_closed(store: Store, how: str) -> None:
    finish, code, _ = ENDINGS[how]
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(working("before"))
    meta = RunMeta(source_mailbox_entry_id="e")
    async with store.batch() as step:
        new = entry("e", closes_runs=True)
        step.mailboxes.enqueue(new)
        step.threads.append("t", says("x", run_id="within", run_meta=meta))
        finish(step, new)
        step.runs.upsert(working("after"))
    expect(await statuses(store, "before", "within", "after"), ["done", "done", "running"])
    expect((await loaded_run(store, "within")).termination_code, code)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def a_run_that_has_left_its_entry_stays(store: Store) -> None:
    await enqueue(store, entry("e", closes_runs=True), entry("f", closes_runs=True))
    await store.runs.upsert(working("r"))
    await store.runs.upsert(working("gone"))
    async with store.batch() as step:
        step.runs.upsert(working("r", entry_id="f"))
        step.runs.delete("gone")
        step.mailboxes.cancel("e")
    expect(await loaded_run(store), working("r", entry_id="f"))
    expect(await store.runs.load("gone"), None)
    await store.mailboxes.cancel("f")
    expect(await statuses(store, "r"), ["done"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def a_batch_that_fails_closes_nothing(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", closes_runs=True))
    await store.runs.upsert(working("r"))
    with refused(NotFound):
        async with store.batch() as step:
            step.mailboxes.cancel("e")
            step.mailboxes.ack("missing", "token")
    expect(await status(store, "e"), "queued")
    expect(await loaded_run(store), working("r"))
    await store.mailboxes.cancel("e")
    expect(await statuses(store, "r"), ["done"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def a_closed_run_keeps_its_owner(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="ann"))
    await store.mailboxes.enqueue(entry("e", closes_runs=True))
    await store.runs.upsert(working("r"))
    async with store.batch() as step:
        step.threads.update("t", resource_id="bob")
        step.mailboxes.cancel("e")
    found = await store.runs.search(resource_id="bob", statuses=["done"])
    expect([each.run_id for each in found.items], ["r"])
    expect((await store.runs.search(resource_id="ann")).items, ())


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_interrupt_closes_hundreds_of_runs(store: Store) -> None:
    ids = [f"e{number:03}" for number in range(MANY)]
    async with store.batch() as step:
        for each in ids:
            step.mailboxes.enqueue(entry(each, closes_runs=True))
            step.runs.upsert(working(f"run of {each}", "waiting", each))
    await store.mailboxes.interrupt("box")
    expect((await store.runs.count()).done, MANY)


# --- runs that wait after their entry was accepted ------------------------------------------------


async def asked(store: Store, run_id: str = "r", thread_id: str = "box") -> RunRecord:
    """A run of a thread that waits; its entry in the mailbox `box` was accepted long ago."""
    await store.mailboxes.enqueue(entry(f"of {run_id}", closes_runs=True))
    await end(store, f"of {run_id}", "accepted")
    waiting = run(run_id, thread_id, status="waiting", source_mailbox_entry_id=f"of {run_id}")
    await store.runs.upsert(waiting)
    return waiting


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_interrupt_closes_the_runs_that_wait_in_its_thread(
    store: Store, clock: ManualClock
) -> None:
    waiting = [await asked(store, "r"), await asked(store, "s")]
    clock.now += 5
    interrupted = await store.mailboxes.interrupt("box")
    expect(interrupted.superseded_entries, ())
    for each in waiting:
        closed = replace(
            each,
            status="done",
            termination_code="superseded",
            termination_detail="superseded by interrupt",
            updated_at=clock.now,
        )
        expect(await loaded_run(store, each.run_id), closed)
    expect(await store.runs.find_active("box"), None)
    expect(await status(store, "of r"), "accepted")


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_interrupt_closes_runs_that_wait_for_an_entry_that_is_gone(store: Store) -> None:
    await asked(store)
    await store.mailboxes.purge(LARGEST_TIME)
    expect(await store.mailboxes.load_entry("of r"), None)
    await store.mailboxes.interrupt("box")
    expect(await statuses(store, "r"), ["done"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_interrupt_leaves_the_other_runs_of_its_thread(store: Store) -> None:
    gone = "of nobody"
    others = [
        await asked(store, "elsewhere", "t"),
        run("running", "box", source_mailbox_entry_id=gone),
        run(
            "ended", "box", status="done", source_mailbox_entry_id=gone, termination_code="natural"
        ),
        run("by hand", "box", status="waiting"),
        run("upper", "BOX", status="waiting", source_mailbox_entry_id=gone),
    ]
    for each in others:
        await store.runs.upsert(each)
    await store.mailboxes.interrupt("box")
    for each in others:
        expect(await loaded_run(store, each.run_id), each)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_interrupt_closes_a_run_that_begins_to_wait_in_its_batch(store: Store) -> None:
    waiting = await asked(store, "before")
    await store.threads.create(Thread(id="box"))
    meta = RunMeta(source_mailbox_entry_id="of before", status="waiting")
    async with store.batch() as step:
        step.runs.upsert(replace(waiting, status="running"))
        step.threads.append("box", says("?", run_id="within", run_meta=meta))
        step.mailboxes.interrupt("box")
        step.runs.upsert(replace(waiting, run_id="after"))
    expect(await statuses(store, "before", "within", "after"), ["running", "done", "waiting"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, "durable")
async def runs_that_wait_are_closed_after_the_store_was_reopened(harness: Harness) -> None:
    await asked(harness.store)
    await harness.store.close()
    store = await harness.open()
    await store.mailboxes.interrupt("box")
    expect(await statuses(store, "r"), ["done"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, "shared")
async def a_run_that_another_handle_lets_wait_is_closed(harness: Harness) -> None:
    other = await harness.open()
    await other.mailboxes.interrupt("elsewhere")  # it may know all active runs from now on
    await asked(harness.store)
    await other.mailboxes.interrupt("box")
    expect(await statuses(harness.store, "r"), ["done"])


# --- runs that have their answer ------------------------------------------------------------------


AFTER_CLAIM = 9
"""Milliseconds from the claim of an entry to the answer that comes while it is held."""


async def answered_while_held(store: Store, *, closes_runs: bool = True) -> MailboxEntry:
    """A held entry whose run `r` was answered, and goes on; it is accepted by an ack."""
    await store.mailboxes.enqueue(entry("e", closes_runs=closes_runs))
    await store.runs.upsert(working("r", "waiting"))
    held = await claim_by_id(store, "e")
    answer_time = held.updated_at + AFTER_CLAIM
    await store.runs.end_wait(
        "r", status="running", entry_id="e", answered_by="olga", now=answer_time
    )
    return held


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_ack_closes_a_run_that_was_answered_and_did_not_go_on(store: Store) -> None:
    held = await answered_while_held(store)
    on = working("r")
    await store.runs.upsert(working("other"))
    await store.runs.upsert(working("asks", "waiting"))
    answered = replace(on, answered_by="olga", updated_at=held.updated_at + AFTER_CLAIM)
    expect(await loaded_run(store), replace(answered, has_answer=True))
    await store.mailboxes.ack(held, now=20)
    closed = replace(answered, status="done", termination_code="answered", updated_at=20)
    expect(await loaded_run(store), closed)
    expect(await loaded_run(store, "other"), working("other"))
    expect(await loaded_run(store, "asks"), working("asks", "waiting"))
    found = await store.runs.search(thread_id="t", statuses=["running"])
    expect([each.run_id for each in found.items], ["other"])


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def a_run_that_goes_on_after_its_answer_is_left(store: Store) -> None:
    held = await answered_while_held(store)
    await store.threads.ensure(Thread(id="t"))
    meta = RunMeta(status="running", source_mailbox_entry_id="e")
    async with store.batch() as step:
        step.threads.append("t", says("on", run_id="r", run_meta=meta))
        step.mailboxes.ack(held)
    now = await loaded_run(store)
    expect((now.status, now.termination_code, now.answered_by), ("running", None, "olga"))
    expect(now.has_answer, False)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_answered_run_that_is_ended_with_its_tokens_says_so(store: Store) -> None:
    await answered_while_held(store)
    await store.runs.count_tokens("r", input_tokens=9, ends_run=True, now=20)
    ended = replace(working("r", "done"), input_tokens=9, answered_by="olga", updated_at=20)
    expect(await loaded_run(store), replace(ended, termination_code="answered"))


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_answered_run_goes_on_with_an_entry_that_is_tried_again(store: Store) -> None:
    held = await answered_while_held(store)
    await store.mailboxes.nack(held, error="no")
    expect((await loaded_run(store)).status, "running")
    again = await claim_by_id(store, "e")
    await store.mailboxes.release(again)
    expect((await loaded_run(store)).status, "running")
    await store.mailboxes.ack(await claim_by_id(store, "e"))
    expect((await loaded_run(store)).termination_code, "answered")


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def an_entry_that_closes_no_runs_leaves_answered_ones(store: Store) -> None:
    held = await answered_while_held(store, closes_runs=False)
    await store.mailboxes.ack(held)
    expect((await loaded_run(store)).status, "running")


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each=["ack", "none", "elsewhere"])
async def a_run_does_not_go_on_with_an_entry_that_has_ended(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e", closes_runs=True))
    await store.runs.upsert(working("r", "waiting"))
    held = await claim_by_id(store, "e")
    if how == "none":
        await store.mailboxes.ack(held)
        await store.mailboxes.purge(ended_before=LARGEST_TIME)
    with refused(RunConflict) as refusal:
        async with store.batch() as step:
            if how == "ack":
                step.mailboxes.ack(held)
            step.mailboxes.send("box", "the answer")
            step.runs.end_wait(
                "r", status="running", entry_id="unknown" if how == "elsewhere" else "e"
            )
    expect((refusal.value.run_id, refusal.value.status), ("r", "waiting"))
    expect((await loaded_run(store)).status, "waiting")
    expect((await store.mailboxes.count_entries("box")).claimed, 0 if how == "none" else 1)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def of_an_answer_and_an_ack_at_once_either_may_be_first(store: Store) -> None:
    for number in range(20):
        name, run_id = f"e{number}", f"r{number}"
        await store.mailboxes.enqueue(entry(name, f"box {number}", closes_runs=True))
        await store.runs.upsert(working(run_id, "waiting", name))
        held = await claim_by_id(store, name)

        async def answer(run_id: str = run_id, name: str = name) -> None:
            try:
                await store.runs.end_wait(run_id, status="running", entry_id=name)
            except RunConflict:
                await store.runs.end_wait(run_id, termination_code="answered")

        async def accept(held: MailboxEntry = held) -> None:
            await store.mailboxes.ack(held)

        calls = [answer(), accept()]
        await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        ended = await loaded_run(store, run_id)
        expect((ended.status, ended.termination_code), ("done", "answered"))
