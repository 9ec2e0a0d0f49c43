"""The past: a thread is loaded as it was at an earlier version, and forked from there."""

from treadle import InvalidValue, Store, Thread, ThreadChangeSet, ThreadHead
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.builders import head_of, said, says, sets
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

BEGUN = (said("a", "a"), said("b"))
START = Thread(id="t", messages=BEGUN, state={"n": 0}, patches=(sets("a", 1),))
STEPS = (
    says("c", "d"),
    ThreadChangeSet(messages=(said("again", "a"), said("e", "e")), patches=(sets("b", 2),)),
    4,
    ThreadChangeSet(patches=(sets("c", 3), sets("d", 4))),
    says("f"),
    1,
    ThreadChangeSet(messages=(said("a", "a"), said("e", "e"), said("e", "e"))),
    ThreadChangeSet(snapshot={"n": 1}, patches=(sets("e", 5),)),
    ThreadChangeSet(messages=(said("g"),), patches=(sets("f", 6),)),
    0,
    says("h", "i", "j"),
    ThreadChangeSet(snapshot=[], messages=(said("k"),)),
    3,
    says("l"),
)
"""What is appended, and how many messages stay, from version 1 on."""
SNAPSHOT = 8
"""The version of the first snapshot: no state before it is known."""


async def take(store: Store, clock: ManualClock, step: ThreadChangeSet | int) -> ThreadHead:
    """Append a change set to the thread `t`, or truncate it, a second later."""
    clock.now += 1_000
    if isinstance(step, int):
        await store.threads.truncate("t", keep=step)
    else:
        await store.threads.append("t", step)
    return await head_of(store)


async def grow(store: Store, clock: ManualClock) -> list[ThreadHead]:
    """Create the thread `t` and take all steps; return it at each version."""
    await store.threads.create(START)
    return [await head_of(store), *[await take(store, clock, step) for step in STEPS]]


def what_was(head: ThreadHead | None) -> object:
    """What a version says: everything but the labels, which have no versions."""
    if head is None:
        return None
    thread = head.thread
    return head.version, thread.messages, head.message_times, thread.state, thread.patches


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_thread_is_loaded_as_it_was_at_each_version(store: Store, clock: ManualClock) -> None:
    heads = await grow(store, clock)
    found = [await store.threads.load("t", version=version) for version in range(len(heads))]
    known = [head if head.version >= SNAPSHOT else None for head in heads]
    expect([*map(what_was, found)], [*map(what_was, known)])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def states_before_the_first_snapshot_are_known_until_it_comes(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(START)
    heads = [await head_of(store)]
    for step in STEPS[: SNAPSHOT - 1]:
        heads.append(await take(store, clock, step))
        for head in heads:
            expect(what_was(await store.threads.load("t", version=head.version)), what_was(head))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def the_past_of_one_batch_is_known_step_by_step(store: Store, clock: ManualClock) -> None:
    heads = await grow(store, clock)
    await store.threads.delete("t")
    async with store.batch() as step:
        step.threads.create(START, now=clock.now)
        for each in STEPS[:5]:
            if isinstance(each, int):
                step.threads.truncate("t", keep=each, now=clock.now)
            else:
                step.threads.append("t", each, now=clock.now)
    async with store.batch() as step:
        for each in STEPS[5:]:
            if isinstance(each, int):
                step.threads.truncate("t", keep=each, now=clock.now)
            else:
                step.threads.append("t", each, now=clock.now)
    for head in heads[SNAPSHOT:]:
        found = await store.threads.load("t", version=head.version)
        assert found is not None, f"version {head.version} is not known"
        expect(found.thread.messages, head.thread.messages)
        expect(found.thread.rebuild_state(), head.thread.rebuild_state())


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def an_earlier_version_has_the_present_labels(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="x"))
    await store.threads.append("t", says("a"))
    await store.threads.update("t", resource_id="y", metadata={"title": "new"})
    found = await store.threads.load("t", version=0)
    assert found is not None, "version 0 is not known"
    expect((found.thread.messages, found.thread.resource_id), ((), "y"))
    expect(found.thread.metadata, (await head_of(store)).thread.metadata)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def versions_that_nobody_knows_are_none(store: Store, clock: ManualClock) -> None:
    expect(await store.threads.load("t", version=0), None)
    heads = await grow(store, clock)
    last = heads[-1]
    expect(await store.threads.load("t", version=last.version), last)
    for version in (last.version + 1, LARGEST_TIME):
        expect(await store.threads.load("t", version=version), None)
    saved = await store.threads.save(START)
    await store.threads.append("t", says("z"))
    for version in (last.version, 0):
        expect(await store.threads.load("t", version=version), None)
    found = await store.threads.load("t", version=saved.version)
    expect(found and found.thread.messages, START.messages)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_has_the_state_of_its_last_message(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", state={"n": 0}))
    states = {}
    for count, step in enumerate([says("a"), says("b"), says("c")], start=1):
        head = await take(store, clock, step)
        head = await take(store, clock, ThreadChangeSet(patches=(sets("n", count),)))
        states[count] = head.thread.rebuild_state()
    for count, state in states.items():
        await store.threads.fork("t", f"at-{count}", at=count)
        forked = (await head_of(store, f"at-{count}")).thread
        expect((len(forked.messages), forked.rebuild_state()), (count, state))
    await store.threads.fork("t", "at-0", at=0)
    expect((await head_of(store, "at-0")).thread.state, {"n": 0})


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_in_the_middle_of_a_step_needs_a_state_if_the_step_changed_it(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t", state={"n": 0}))
    await take(store, clock, says("a", "b"))
    await take(store, clock, says("c", "d", patches=(sets("n", 1),)))
    await take(store, clock, says("e", "f"))
    await store.threads.fork("t", "one", at=1)
    expect((await head_of(store, "one")).thread.rebuild_state(), {"n": 0})
    await store.threads.fork("t", "five", at=5)
    expect((await head_of(store, "five")).thread.rebuild_state(), {"n": 1})
    with refused(InvalidValue) as caught:
        await store.threads.fork("t", "three", at=3)
    expect(caught.value.where, "forkThread.state")


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_follows_the_steps_of_its_own_batch(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", state={"n": 0}))
    await take(store, clock, says("a"))
    await take(store, clock, ThreadChangeSet(patches=(sets("n", 1),)))
    async with store.batch() as step:
        step.threads.append("t", says("b"))
        step.threads.append("t", ThreadChangeSet(snapshot={"n": 2}))
        step.threads.append("t", ThreadChangeSet(messages=(said("c"),), snapshot={"n": 3}))
        step.threads.fork("t", "two", at=2)
        step.threads.truncate("t", keep=1)
        step.threads.append("t", says("d"))
        step.threads.fork("t", "one", at=1)
    expect((await head_of(store, "two")).thread.state, {"n": 2})
    expect((await head_of(store, "one")).thread.state, {"n": 3})
    with refused(InvalidValue):  # that state was replaced, and its thread was not begun with it
        await store.threads.fork("t", "none", at=0)


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_durable_store_knows_the_past_of_its_threads(
    harness: Harness, clock: ManualClock
) -> None:
    heads = await grow(harness.store, clock)
    await harness.store.close()
    reopened = await harness.open()
    for head in heads[SNAPSHOT:]:
        expect(what_was(await reopened.threads.load("t", version=head.version)), what_was(head))
