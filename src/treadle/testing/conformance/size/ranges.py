"""Ranges: a value at either end of its range is treated like one in the middle."""

from treadle import RunMeta, Store, Thread, VersionConflict
from treadle.backends.base import Guarantee
from treadle.core.limits import ID_BYTES, LARGEST_COUNT, LARGEST_INTEGER, LARGEST_TIME, PRIORITY
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_ids,
    claim_one,
    enqueue,
    entry,
    generation,
    head_of,
    loaded,
    loaded_run,
    run,
    said,
    says,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

PRIORITIES = (0, 1, 9, 10, 99, 100, 126, 127, 128, 254, PRIORITY)
IDS = {
    "one character": ("a", "b"),
    "the longest": ("i" * ID_BYTES, "i" * (ID_BYTES - 1) + "j"),
    "the longest, of wide characters": ("🧵" * (ID_BYTES // 4), "🧵" * (ID_BYTES // 4 - 1) + "🪡"),
}
TIMES = {"the first": 0, "the last": LARGEST_TIME}


@checks.add(Guarantee.ONE_HOLDER)
async def every_priority_has_its_order(store: Store) -> None:
    await enqueue(
        store,
        *(entry(f"p{number}", f"box {number}", priority=number) for number in PRIORITIES),
    )
    expect(await claim_ids(store, 100), [f"p{number}" for number in reversed(PRIORITIES)])


@checks.add(Guarantee.ONE_HOLDER)
async def every_priority_has_its_order_within_a_mailbox(store: Store) -> None:
    await enqueue(store, *(entry(f"p{number}", priority=number) for number in PRIORITIES))
    for number in reversed(PRIORITIES):
        claimed = await claim_one(store)
        expect((claimed.entry_id, claimed.priority), (f"p{number}", number))
        await store.mailboxes.ack(claimed)


@checks.add(Guarantee.VALUES_ARE_KEPT, each=IDS)
async def threads_and_runs_keep_ids_at_the_ends_of_their_range(
    store: Store, one: str, other: str
) -> None:
    await store.threads.create(Thread(id=one, resource_id=one))
    await store.threads.create(Thread(id=other, resource_id=other, parent_thread_id=one))
    await store.threads.append(one, says("x", run_id=one, run_meta=RunMeta()))
    await store.threads.append(
        other, says("y", run_id=other, parent_run_id=one, run_meta=RunMeta())
    )
    expect((await store.threads.list(resource_id=one)).items, (one,))
    expect((await store.threads.list(parent_thread_id=one)).items, (other,))
    expect((await loaded_run(store, other)).parent_run_id, one)
    await store.runs.upsert(run(one, one, status="done"))
    expect([each.run_id for each in (await store.runs.list(thread_id=one)).items], [one])
    await store.threads.delete(one)
    expect((await head_of(store, other)).thread.id, other)


@checks.add(Guarantee.VALUES_ARE_KEPT, each=IDS)
async def mailboxes_keep_ids_and_dedupe_keys_at_the_ends_of_their_range(
    store: Store, one: str, other: str
) -> None:
    for mailbox_id in (one, other):
        for key in (one, other):
            await store.mailboxes.send(mailbox_id, key, dedupe_key=key)
    expect((await store.mailboxes.count_entries(one)).queued, 2)
    again = (await store.mailboxes.send(one, "again", dedupe_key=other)).entry
    expect(again.payload, other)
    await store.mailboxes.enqueue(entry(one, "mine"))
    await store.mailboxes.enqueue(entry(other, "mine"))
    await store.mailboxes.cancel(one)
    expect((await claim_one(store, "mine")).entry_id, other)


@checks.add(Guarantee.TIME_IS_GIVEN, each=TIMES)
async def every_command_takes_the_first_and_the_last_time(store: Store, now: int) -> None:
    await store.threads.create(Thread(id="t"), now=now)
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()), now=now)
    expect((await loaded_run(store)).updated_at, now)
    await store.threads.save(Thread(id="t"), now=now)
    expect((await head_of(store)).thread.metadata.updated_at, now)
    await store.mailboxes.ensure("ensured", now=now)
    for number in range(7):
        new = entry(f"e{number}", f"box {number}", created_at=now, available_at=now, updated_at=now)
        await store.mailboxes.enqueue(new)
    expect((await store.mailboxes.send("sent", None, now=now)).entry.available_at, now)
    await store.mailboxes.ack(await claim_by_id(store, "e0", now=now), now=now)
    await store.mailboxes.nack(await claim_by_id(store, "e1", now=now), now=now)
    await store.mailboxes.dead_letter(await claim_by_id(store, "e2", now=now), error="no", now=now)
    await store.mailboxes.release(await claim_by_id(store, "e3", now=now), now=now)
    await store.mailboxes.cancel("e4", now=now)
    await store.mailboxes.supersede("e5", "newer", now=now)
    await store.mailboxes.requeue("e2", now=now)
    await store.mailboxes.interrupt("box 6", now=now)
    for number in range(7):
        expect((await loaded(store, f"e{number}")).updated_at, now)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_purge_at_the_last_time_removes_what_has_ended_at_the_first(store: Store) -> None:
    await enqueue(store, entry("first"), entry("later"))
    await store.mailboxes.cancel("first", now=0)
    await store.mailboxes.cancel("later", now=LARGEST_TIME)
    expect(await store.mailboxes.purge(0), 0)
    expect(await store.mailboxes.purge(LARGEST_TIME), 1)
    expect((await loaded(store, "later")).updated_at, LARGEST_TIME)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def times_that_a_float_cannot_tell_apart_stay_apart(store: Store) -> None:
    times = (2**53, 2**53 + 1, LARGEST_TIME - 1, LARGEST_TIME)
    await enqueue(
        store, *(entry(f"e{n}", f"box {n}", available_at=at) for n, at in enumerate(times))
    )
    found = [(await loaded(store, f"e{number}")).available_at for number in range(4)]
    expect(tuple(found), times)
    for expected, now in enumerate(times[:3]):
        expect(await claim_ids(store, now=now, lease_ms=LARGEST_TIME), [f"e{expected}"])


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS, each=[1, 255, 256, 65_536, LARGEST_TIME])
async def a_version_that_a_thread_does_not_have_is_refused(store: Store, version: int) -> None:
    await store.threads.create(Thread(id="t"))
    with refused(VersionConflict) as caught:
        await store.threads.append("t", said("x"), expected=version)
    expect((caught.value.expected, caught.value.actual), (version, 0))


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def hundreds_of_interrupts_and_attempts_are_counted(store: Store, clock: ManualClock) -> None:
    async with store.batch() as step:
        for _ in range(300):
            step.mailboxes.interrupt("box")
    expect(await generation(store), 300)
    await store.mailboxes.enqueue(entry("e", generation=300, attempt_count=250))
    for attempt in range(251, 261):
        claimed = await claim_one(store)
        expect((claimed.attempt_count, claimed.generation), (attempt, 300))
        await store.mailboxes.nack(claimed, retry_at=clock.now)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_with_the_most_attempts_can_be_worked_on(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", attempt_count=LARGEST_COUNT))
    claimed = await claim_one(store)
    await store.mailboxes.nack(claimed)
    expect((await loaded(store)).attempt_count, LARGEST_COUNT + 1)


@checks.add(Guarantee.VALUES_ARE_KEPT, each=[0, 2**31, 2**32, 2**53 + 1, 2**63, LARGEST_INTEGER])
async def token_counts_are_kept_at_any_size(store: Store, count: int) -> None:
    await store.runs.upsert(run("r", input_tokens=count, output_tokens=count))
    found = await loaded_run(store)
    expect((found.input_tokens, found.output_tokens), (count, count))
