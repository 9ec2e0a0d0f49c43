"""Truncations: messages at the end of a thread are taken back, and replaced."""

from typing import Any

from treadle import InvalidValue, NotFound, Store, Thread, ThreadChangeSet, Truncated
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.builders import (
    deltas_since,
    head_of,
    results_of,
    said,
    says,
    sets,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

MESSAGES = tuple(said(text, text) for text in ("a", "b", "c", "d"))
CUTS = {
    "keep none": ({"keep": 0}, 0),
    "keep some": ({"keep": 1}, 1),
    "drop one": ({"drop": 1}, 3),
    "drop as many as there are": ({"drop": 4}, 0),
    "drop more than there are": ({"drop": LARGEST_TIME}, 0),
}
IDLE = {
    "keep as many as there are": {"keep": 4},
    "keep more than there are": {"keep": LARGEST_TIME},
    "drop none": {"drop": 0},
}


async def create(store: Store) -> None:
    """Create the thread `t` with two messages, and append two others one by one."""
    await store.threads.create(Thread(id="t", messages=MESSAGES[:2], resource_id="x"))
    for message in MESSAGES[2:]:
        await store.threads.append("t", message)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=CUTS)
async def a_truncation_removes_the_last_messages_and_returns_them(
    store: Store, clock: ManualClock, end: dict[str, int], kept: int
) -> None:
    await create(store)
    before = await head_of(store)
    clock.now += 1_000
    truncated = await store.threads.truncate("t", **end)
    expect(truncated, Truncated(version=3, removed=MESSAGES[kept:]))
    after = await head_of(store)
    expect((after.version, after.thread.messages), (3, MESSAGES[:kept]))
    expect(after.thread.metadata.updated_at, clock.now)
    expect(after.thread.metadata.created_at, before.thread.metadata.created_at)
    head = await store.threads.summary("t")
    expect(head.message_count if head else None, kept)
    page = await store.threads.list_messages("t", order="desc")
    found = [(each.cursor, each.message) for each in page.messages]
    expect(found, list(enumerate(MESSAGES[:kept]))[::-1])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, each=IDLE)
async def a_truncation_that_removes_nothing_changes_nothing(
    store: Store, clock: ManualClock, end: dict[str, int]
) -> None:
    await create(store)
    before = await head_of(store)
    clock.now += 1_000
    expect(await store.threads.truncate("t", **end), Truncated(version=2))
    expect(await head_of(store), before)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_truncation_keeps_state_patches_and_runs(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="x", state={"n": 1}))
    await store.threads.append("t", says("a", "b", patches=(sets("a", 1),), run_id="r"))
    before, run = await head_of(store), await store.runs.load("r")
    await store.threads.truncate("t", keep=1)
    after = await head_of(store)
    expect(after.thread.state, before.thread.state)
    expect(after.thread.patches, before.thread.patches)
    expect(after.thread.resource_id, "x")
    expect(await store.runs.load("r"), run)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "neither keep nor drop": ({}, "keep"),
    "both keep and drop": ({"keep": 1, "drop": 1}, "drop"),
    "a negative keep": ({"keep": -1}, "keep"),
    "a negative drop": ({"drop": -1}, "drop"),
    "a keep that is too large": ({"keep": LARGEST_TIME + 1}, "keep"),
    "a drop that is no number": ({"drop": "1"}, "drop"),
}


@checks.add(Guarantee.ALL_OR_NOTHING, each=BAD)
async def a_truncation_that_does_not_say_what_goes_is_refused(
    store: Store, end: dict[str, Any], field: str
) -> None:
    await create(store)
    before = await head_of(store)
    with refused(InvalidValue) as caught:
        await store.threads.truncate("t", **end)
    expect(caught.value.where, f"truncateThread.{field}")
    with refused(NotFound):
        await store.threads.truncate("u", keep=0)
    expect(await head_of(store), before)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def an_append_that_would_cut_messages_off_is_refused(store: Store) -> None:
    await create(store)
    with refused(InvalidValue) as caught:
        await store.threads.append("t", ThreadChangeSet(truncated_to=1))
    expect(caught.value.where, "appendThread.changes.truncated_to")
    expect(await texts(store, "t"), ["a", "b", "c", "d"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_removed_message_may_be_appended_again(store: Store) -> None:
    await create(store)
    await store.threads.truncate("t", keep=1)
    again = await store.threads.append("t", MESSAGES[0], MESSAGES[2], MESSAGES[1])
    expect(again.skipped, ("a",))
    expect(await texts(store, "t"), ["a", "c", "b"])
    async with store.batch() as step:
        step.threads.append("t", said("late", "e"))
        step.threads.truncate("t", drop=2)
        step.threads.append("t", said("later", "e"), said("again", "b"), said("no", "c"))
    expect(results_of(step)[2].skipped, ("c",))
    expect(await texts(store, "t"), ["a", "c", "later", "again"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def one_of_two_messages_with_one_id_is_removed_and_the_id_stays_known(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("a", "m"), said("b", "m"))))
    await store.threads.truncate("t", drop=1)
    expect((await store.threads.append("t", said("c", "m"))).skipped, ("m",))
    async with store.batch() as step:
        step.threads.append("t", said("d", "m"))
        step.threads.truncate("t", keep=0)
        step.threads.append("t", said("e", "m"))
    expect(await texts(store, "t"), ["e"])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def the_end_of_a_thread_is_replaced_in_one_batch(store: Store) -> None:
    await create(store)
    with refused(NotFound):
        async with store.batch() as step:
            step.threads.truncate("t", drop=2)
            step.threads.append("t", said("new"))
            step.threads.append("u", said("new"))
    expect(await texts(store, "t"), ["a", "b", "c", "d"])
    async with store.batch() as step:
        step.threads.truncate("t", drop=2)
        step.threads.append("t", said("new"))
    expect(results_of(step)[0], Truncated(version=3, removed=MESSAGES[2:]))
    expect(await texts(store, "t"), ["a", "b", "new"])
    expect((await head_of(store)).version, 4)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def truncations_of_a_batch_see_what_was_appended_and_cut_off_before(store: Store) -> None:
    await create(store)
    async with store.batch() as step:
        step.threads.append("t", said("e"))
        step.threads.truncate("t", drop=2)
        step.threads.append("t", said("f"))
        step.threads.truncate("t", drop=3)
        step.threads.truncate("t", keep=1)
        step.threads.truncate("t", keep=1)
        step.threads.append("t", said("g"))
    removed = [getattr(each, "removed", None) for each in results_of(step)]
    _, b, c, d = MESSAGES
    expect(removed, [None, (d, said("e")), None, (b, c, said("f")), (), (), None])
    expect(await texts(store, "t"), ["a", "g"])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_truncation_of_a_batch_takes_what_another_one_kept(store: Store) -> None:
    await create(store)
    async with store.batch() as step:
        step.threads.truncate("t", keep=2)
        step.threads.append("t", said("e"))
        step.threads.truncate("t", drop=2)
    removed = [getattr(each, "removed", None) for each in results_of(step)]
    a, b, c, d = MESSAGES
    expect(removed, [(c, d), None, (b, said("e"))])
    expect(await texts(store, "t"), ["a"])
    expect((await head_of(store)).thread.messages, (a,))


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_thread_is_truncated_in_the_batch_that_creates_or_saves_it(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t", messages=MESSAGES))
        step.threads.truncate("t", drop=1)
        step.threads.save(Thread(id="t", messages=MESSAGES[1:]))
        step.threads.truncate("t", keep=2)
    expect(results_of(step)[1].removed, MESSAGES[3:])
    expect(results_of(step)[3].removed, MESSAGES[3:])
    expect(await texts(store, "t"), ["b", "c"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_truncation_has_its_delta(store: Store, clock: ManualClock) -> None:
    await create(store)
    clock.now += 1_000
    await store.threads.truncate("t", keep=3)
    (delta,) = await deltas_since(store, 2)
    expect((delta.version, delta.committed_at), (3, clock.now))
    expect(delta.changes, ThreadChangeSet(truncated_to=3))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def earlier_deltas_show_the_messages_that_truncations_removed(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    due: list[ThreadChangeSet] = []

    async def append(*names: str) -> None:
        due.append(says(*names))
        await store.threads.append("t", due[-1])

    async def truncate(keep: int) -> None:
        due.append(ThreadChangeSet(truncated_to=keep))
        await store.threads.truncate("t", keep=keep)

    await append("a", "b")
    await append("c")
    await truncate(1)
    await append("d", "e")
    await truncate(2)
    await truncate(1)
    await append("f")
    await truncate(0)
    await append("g")
    for version in range(len(due)):
        found = [delta.changes for delta in await deltas_since(store, version)]
        expect(found, due[version:])
    expect(await texts(store, "t"), ["g"])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def deltas_of_a_batch_show_what_the_batch_itself_removed(store: Store) -> None:
    await create(store)
    async with store.batch() as step:
        step.threads.append("t", said("e"), said("again", "a"))
        step.threads.truncate("t", keep=2)
        step.threads.append("t", said("f"), said("g"))
        step.threads.truncate("t", keep=1)
        step.threads.append("t", said("h"))
    due = [
        ThreadChangeSet(messages=(said("e"), said("again", "a"))),
        ThreadChangeSet(truncated_to=2),
        says("f", "g"),
        ThreadChangeSet(truncated_to=1),
        says("h"),
    ]
    expect([delta.changes for delta in await deltas_since(store, 2)], due)
    await store.threads.truncate("t", keep=0)
    expect([delta.changes for delta in await deltas_since(store, 2)][:5], due)
    first, *_ = await deltas_since(store, 1)
    expect(first.changes, ThreadChangeSet(messages=MESSAGES[3:]))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def replaying_deltas_with_truncations_gives_the_thread(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    for number in range(12):
        await store.threads.append("t", said("x", f"m{number % 5}"), said(f"y{number}"))
        await store.threads.truncate("t", drop=number % 3)
    head = await head_of(store)
    replayed = Thread(id="t", metadata=head.thread.metadata)
    for delta in await deltas_since(store, 0):
        replayed = delta.changes.apply_to(replayed)
    expect(replayed, head.thread)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_save_or_a_deletion_drops_what_truncations_removed(store: Store) -> None:
    await create(store)
    await store.threads.truncate("t", keep=0)
    await store.threads.save(Thread(id="t"))
    expect(await store.threads.list_deltas("t", 0), None)
    await store.threads.append("t", said("z"))
    expect([delta.changes for delta in await deltas_since(store, 4)], [says("z")])
    await store.threads.truncate("t", keep=0)
    await store.threads.delete("t")
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("new"))
    expect([delta.changes for delta in await deltas_since(store, 0)], [says("new")])


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_durable_store_keeps_a_truncation(harness: Harness) -> None:
    await create(harness.store)
    await harness.store.threads.truncate("t", drop=3)
    await harness.store.threads.append("t", says("new"))
    before = await deltas_since(harness.store, 0)
    await harness.store.close()
    reopened = await harness.open()
    expect(await texts(reopened, "t"), ["a", "new"])
    expect(await deltas_since(reopened, 0), before)


@checks.add(Guarantee.ONE_ORDER, "shared")
async def another_handle_sees_a_truncation(harness: Harness) -> None:
    await create(harness.store)
    other = await harness.open()
    expect(await texts(other, "t"), ["a", "b", "c", "d"])
    await harness.store.threads.truncate("t", keep=1)
    expect(await texts(other, "t"), ["a"])
    await other.threads.append("t", said("e", "b"))
    expect(await texts(harness.store, "t"), ["a", "e"])
    await harness.store.threads.truncate("t", drop=1)
    expect((await other.threads.append("t", said("f", "b"))).skipped, ())
    expect(await texts(harness.store, "t"), ["a", "f"])
