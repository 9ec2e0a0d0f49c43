"""Records: appends record their runs, and a run can be written as a whole."""

import asyncio
from typing import Any

from msgspec.structs import replace

from treadle import (
    AlreadyExists,
    NotFound,
    RunConflict,
    RunMeta,
    RunRecord,
    RunStatus,
    Store,
    Thread,
    VersionConflict,
)
from treadle.backends.base import Guarantee
from treadle.core.restoring import RestoreRun
from treadle.core.run_commands import CountTokens
from treadle.testing._harness.builders import loaded_run, run, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

MANY = 20


FULL_META = RunMeta(
    agent_id="writer",
    origin="a2a",
    status="waiting",
    parent_thread_id="p",
    termination_code="error",
    termination_detail="so",
    source_mailbox_entry_id="e",
    metadata={"model": "m"},
    input_tokens=3,
    output_tokens=4,
)


def full_run(thread_id: str, **fields: Any) -> RunRecord:
    """The record that `FULL_META` makes."""
    known: dict[str, Any] = {name: getattr(FULL_META, name) for name in RunMeta.__struct_fields__}
    return run("r", thread_id, **known | fields)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_with_run_meta_records_its_run(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=FULL_META))
    now = clock.now
    expected = full_run("t", parent_run_id="q", created_at=now, updated_at=now)
    expect(await loaded_run(store), expected)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_without_times_gets_those_of_the_clock(store: Store, clock: ManualClock) -> None:
    bare = RunRecord(run_id="r", thread_id="t")
    await store.runs.upsert(bare)
    began = clock.now
    expect(await loaded_run(store), run("r", created_at=began, updated_at=began))
    clock.now += 10
    await store.runs.upsert(replace(bare, status="done"))
    expected = run("r", status="done", created_at=began, updated_at=clock.now)
    expect(await loaded_run(store), expected)
    await store.runs.upsert(replace(bare, created_at=3), now=5)
    expect(await loaded_run(store), run("r", created_at=3, updated_at=5))
    await store.runs.upsert(replace(bare, updated_at=4))
    expect(await loaded_run(store), run("r", created_at=3, updated_at=4))


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_restored_run_keeps_its_times(store: Store) -> None:
    old = RunRecord(run_id="r", thread_id="t")
    await store.commit((RestoreRun(run=old),))
    expect(await loaded_run(store), old)
    await store.commit((RestoreRun(run=run("r", status="done")),))
    expect(await loaded_run(store), run("r", status="done"))


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_later_append_replaces_the_whole_record_but_its_origins(
    store: Store, clock: ManualClock
) -> None:
    for thread_id in ("t", "u"):
        await store.threads.create(Thread(id=thread_id))
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=FULL_META))
    created_at = clock.now
    clock.now += 10
    await store.threads.append("u", says("x", run_id="r", run_meta=RunMeta()))
    kept = {"parent_run_id": "q", "parent_thread_id": "p", "source_mailbox_entry_id": "e"}
    expected = run(
        "r", "u", created_at=created_at, updated_at=clock.now, **kept, metadata={"model": "m"}
    )
    expect(await loaded_run(store), expected)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_first_parent_and_source_of_a_run_are_kept(store: Store) -> None:
    await store.threads.create(Thread(id="t"))

    def changes(parent: str, meta: RunMeta) -> Any:
        return says("x", run_id="r", parent_run_id=parent, run_meta=meta)

    first = RunMeta(parent_thread_id="p1", source_mailbox_entry_id="e1", termination_code="a")
    second = RunMeta(parent_thread_id="p2", source_mailbox_entry_id="e2", status="done")
    await store.threads.append("t", changes("q1", first))
    await store.threads.append("t", changes("q2", second))
    found = await loaded_run(store)
    expect(found.parent_run_id, "q1")
    expect(found.parent_thread_id, "p1")
    expect(found.source_mailbox_entry_id, "e1")
    expect(found.status, "done")
    expect(found.termination_code, None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_later_append_can_add_a_missing_parent_or_source(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()))
    meta = RunMeta(parent_thread_id="p", source_mailbox_entry_id="e")
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=meta))
    found = await loaded_run(store)
    expect(found.parent_run_id, "q")
    expect(found.parent_thread_id, "p")
    expect(found.source_mailbox_entry_id, "e")


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_without_run_meta_changes_updated_at_of_an_existing_run(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t"))
    before = run("r", status="waiting", created_at=1, updated_at=2, metadata={"a": 1})
    await store.runs.upsert(before)
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q"))
    expected = run("r", status="waiting", created_at=1, updated_at=clock.now, metadata={"a": 1})
    expect(await loaded_run(store), expected)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_without_run_meta_creates_no_run(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r"))
    expect(await store.runs.load("r"), None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_with_an_empty_run_id_touches_no_run(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="", run_meta=RunMeta(agent_id="a")))
    expect((await store.runs.list()).total, 0)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_keeps_created_at_metadata_and_unknown_fields_of_its_run(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r", "s", created_at=5, metadata=[1], extra={"later": 1}))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta(agent_id="b")))
    kept: dict[str, Any] = {"created_at": 5, "metadata": [1], "extra": {"later": 1}}
    expected = run("r", "t", agent_id="b", updated_at=clock.now, **kept)
    expect(await loaded_run(store), expected)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_failing_append_leaves_its_run_unchanged(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    changes = says("x", run_id="r", run_meta=RunMeta())
    with refused(VersionConflict):
        await store.threads.append("t", changes, expected=5)
    with refused(NotFound):
        await store.threads.append("u", changes)
    expect(await store.runs.load("r"), None)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def an_upsert_stores_the_record_as_it_is(store: Store) -> None:
    first = run("r", parent_run_id="q", status="done", created_at=1, metadata={"a": 1.0})
    await store.runs.upsert(first)
    expect(await store.runs.load("r"), first)
    second = run("r", "u", created_at=2)
    await store.runs.upsert(second)
    expect(await store.runs.load("r"), second)
    expect((await store.runs.list()).total, 1)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def loading_a_missing_run_returns_none(store: Store) -> None:
    expect(await store.runs.load("r"), None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_deleted_run_is_gone_and_its_thread_stays(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r"))
    expect(await store.runs.delete("r"), True)
    expect(await store.runs.delete("r"), False)
    expect(await store.runs.load("r"), None)
    expect((await store.runs.list()).total, 0)
    assert await store.threads.load("t") is not None


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_check_refuses_the_run_of_another_thread(store: Store) -> None:
    await store.runs.upsert(run("r", "t"))
    for run_id in ("r", "new", "R"):
        await store.runs.check(run_id, thread_id="t")
    with refused(AlreadyExists) as refusal:
        async with store.batch() as step:
            step.runs.upsert(run("s", "u"))
            step.runs.check("r", thread_id="u")
            step.runs.upsert(run("r", "u"))
    expect((refusal.value.kind, refusal.value.key), ("run", "r"))
    expect(await loaded_run(store), run("r", "t"))
    expect(await store.runs.load("s"), None)
    expect(await store.runs.load("new"), None)
    async with store.batch() as step:
        step.runs.upsert(run("r", "u"))
        step.runs.check("r", thread_id="u")


# --- tokens ---------------------------------------------------------------------------------------


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def tokens_are_only_raised(store: Store, clock: ManualClock) -> None:
    before = run("r", input_tokens=7, output_tokens=7, metadata={"a": [1]})
    await store.runs.upsert(before)
    clock.now += 5
    expect(await store.runs.count_tokens("r", input_tokens=9, output_tokens=5), True)
    expected = replace(before, input_tokens=9, updated_at=clock.now)
    expect(await loaded_run(store), expected)
    clock.now += 5
    for _ in range(2):
        expect(await store.runs.count_tokens("r", input_tokens=9), True)
    expect(await loaded_run(store), expected)
    expect(await store.runs.count_tokens("none", input_tokens=9), False)
    expect(await store.runs.load("none"), None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS, each=["running", "waiting", "done"])
async def a_count_ends_a_run_that_runs_and_no_other(store: Store, status: RunStatus) -> None:
    before = run("r", status=status, termination_code="so", source_mailbox_entry_id="e")
    await store.runs.upsert(before)
    await store.runs.count_tokens("r", ends_run=True, now=9)
    expected = before if status != "running" else replace(before, status="done", updated_at=9)
    expect(await loaded_run(store), expected)
    active = await store.runs.find_active("t")
    expect(active, expected if status == "waiting" else None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_becomes_a_part_of_another_one_keeps_its_tokens(store: Store) -> None:
    before = run("r", metadata={"a": [1]}, input_tokens=7, source_mailbox_entry_id="e")
    await store.runs.upsert(before)
    merge = CountTokens(
        run_id="r", thread_id="t", output_tokens=5, merged_into="whole", first=run("r"), now=9
    )
    merged = replace(
        before,
        status="done",
        termination_code="merged",
        termination_detail="it became a part of run whole",
        metadata={"merged_into": "whole"},
        output_tokens=5,
        updated_at=9,
    )
    expect((await store.commit((merge,))).results[0], True)
    expect(await loaded_run(store), merged)
    elsewhere = replace(merge, thread_id="u", merged_into="none")
    expect((await store.commit((elsewhere,))).results[0], False)
    expect(await loaded_run(store), merged)
    await store.runs.delete("r")
    expect((await store.commit((merge,))).results[0], True)
    expect((await loaded_run(store)).metadata, {"merged_into": "whole"})


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_nobody_knows_gets_no_record_if_its_entry_and_its_thread_are_gone(
    store: Store,
) -> None:
    counted = CountTokens(run_id="r", output_tokens=5, first=run("r", source_mailbox_entry_id="e"))
    expect((await store.commit((counted,))).results[0], False)
    expect(await store.runs.load("r"), None)
    await store.threads.create(Thread(id="t"))
    expect((await store.commit((counted,))).results[0], True)
    found = await loaded_run(store)
    expect((found.status, found.termination_code), ("done", "cancelled"))


# --- waits ----------------------------------------------------------------------------------------


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_wait_ends_once(store: Store, clock: ManualClock) -> None:
    waiting = run("r", status="waiting", metadata={"a": [1]}, input_tokens=7)
    await store.runs.upsert(waiting)
    clock.now += 5
    ended = await store.runs.end_wait("r", termination_code="answered", termination_detail="so")
    expected = replace(
        waiting,
        status="done",
        termination_code="answered",
        termination_detail="so",
        updated_at=clock.now,
    )
    expect(ended, expected)
    expect(await loaded_run(store), expected)
    with refused(RunConflict) as refusal:
        await store.runs.end_wait("r", termination_code="again")
    conflict = refusal.value
    found = (conflict.run_id, conflict.status, conflict.termination_code)
    expect(found, ("r", "done", "answered"))
    expect(await loaded_run(store), expected)
    expect((await store.runs.search(statuses=["waiting"])).items, ())


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_goes_on_after_its_wait(store: Store) -> None:
    await store.runs.upsert(run("r", status="waiting", source_mailbox_entry_id="e"))
    await store.runs.end_wait("r", status="running", now=9)
    expected = run(
        "r", status="running", source_mailbox_entry_id="e", updated_at=9, has_answer=True
    )
    expect(await loaded_run(store), expected)
    expect(await store.runs.find_active("t"), expected)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS, each=["running", "done"])
async def a_run_that_does_not_wait_fails_its_batch(store: Store, status: RunStatus) -> None:
    await store.runs.upsert(run("r", status=status))
    await store.runs.upsert(run("w", status="waiting"))
    with refused(RunConflict):
        async with store.batch() as step:
            step.runs.end_wait("w")
            step.mailboxes.send("box", "go on")
            step.runs.end_wait("r")
    with refused(NotFound):
        await store.runs.end_wait("none")
    expect((await loaded_run(store, "w")).status, "waiting")
    expect((await store.mailboxes.count_entries("box")).queued, 0)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def of_many_who_answer_a_run_one_does(store: Store) -> None:
    await store.runs.upsert(run("r", status="waiting"))

    async def answer(number: int) -> bool:
        try:
            async with store.batch() as step:
                step.mailboxes.send(f"box {number}", "the answer")
                step.runs.end_wait("r", termination_code=f"by {number}")
        except RunConflict:
            return False
        return True

    answered = await asyncio.gather(*map(answer, range(MANY)))
    expect(answered.count(True), 1)
    expect((await loaded_run(store)).termination_code, f"by {answered.index(True)}")
    expect((await store.mailboxes.count_entries()).queued, 1)
