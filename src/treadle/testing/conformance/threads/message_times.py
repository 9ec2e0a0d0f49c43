"""The times of messages: each one says when it was committed, as long as it stays as it is."""

from msgspec.structs import replace

from treadle import AlreadyExists, InvalidValue, Store, Thread, ThreadHead, ThreadMetadata
from treadle.backends.base import Guarantee
from treadle.core.restoring import RestoreThread
from treadle.core.thread_commands import CreateThread
from treadle.testing._harness.builders import head_of, said
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


async def times(store: Store, thread_id: str = "t") -> list[int | None]:
    """Return the times of a thread's messages; pages and the whole thread agree on them."""
    head = await head_of(store, thread_id)
    page = await store.threads.list_messages(thread_id, limit=200)
    found = [each.committed_at for each in page.messages]
    unknown = [None] * (len(found) - len(head.message_times))
    expect([*head.message_times, *unknown], found)
    return found


async def create(store: Store, clock: ManualClock) -> int:
    """Create a thread with messages, append others a second later; return the first time."""
    start = clock.now
    await store.threads.create(Thread(id="t", messages=(said("a", "a"), said("b"))))
    clock.now += 1_000
    await store.threads.append("t", said("c"), said("again", "a"), said("d"))
    clock.now += 1_000
    return start


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_message_has_the_time_of_the_write_that_brought_it(
    store: Store, clock: ManualClock
) -> None:
    start = await create(store, clock)
    await store.threads.append("t", said("e"), now=7)
    expect(await times(store), [start, start, start + 1_000, start + 1_000, 7])
    page = await store.threads.list_messages("t", order="desc", limit=2)
    expect([each.committed_at for each in page.messages], [7, start + 1_000])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_save_keeps_the_times_of_messages_that_it_does_not_change(
    store: Store, clock: ManualClock
) -> None:
    start = await create(store, clock)
    thread = (await head_of(store)).thread
    a, b, c, d = thread.messages
    await store.threads.save(replace(thread, messages=(d, replace(b, content="new"), c, a, a)))
    late = start + 2_000
    expect(await times(store), [start + 1_000, late, start + 1_000, start, late])
    await store.threads.save(replace(thread, messages=()))
    await store.threads.save(thread)
    expect(await times(store), [late] * 4)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_save_knows_the_times_of_its_batch(store: Store, clock: ManualClock) -> None:
    start = await create(store, clock)
    thread = (await head_of(store)).thread
    async with store.batch() as step:
        step.threads.append("t", said("e"), now=7)
        step.threads.truncate("t", keep=1)
        step.threads.append("t", said("f"), now=8)
        step.threads.save(replace(thread, messages=(said("f"), *thread.messages)), now=9)
    expect(await times(store), [8, start, 9, 9, 9])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def updates_and_truncations_keep_the_times_of_what_stays(
    store: Store, clock: ManualClock
) -> None:
    start = await create(store, clock)
    await store.threads.update("t", metadata={"title": "new"})
    await store.threads.truncate("t", keep=3)
    await store.threads.append("t", said("e"))
    expect(await times(store), [start, start, start + 1_000, start + 2_000])
    await store.threads.truncate("t", keep=0)
    expect(await times(store), [])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def a_fork_has_the_times_of_its_source(store: Store, clock: ManualClock) -> None:
    start = await create(store, clock)
    async with store.batch() as step:
        step.threads.append("t", said("e"))
        step.threads.fork("t", "new")
        step.threads.fork("t", "newer", at=3)
    due: list[int | None] = [start, start, start + 1_000, start + 1_000, start + 2_000]
    expect(await times(store, "new"), due)
    expect(await times(store, "newer"), due[:3])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def unknown_times_stay_unknown(store: Store, clock: ManualClock) -> None:
    messages = (said("a"), said("b"), said("c"))
    head = ThreadHead(thread=Thread(id="t", messages=messages), version=3, message_times=(None, 5))
    await store.commit((RestoreThread(head=head),))
    expect(await head_of(store), head)
    await store.threads.save(head.thread)
    expect(await times(store), [None, 5, None])
    await store.threads.append("t", said("d"))
    expect(await times(store), [None, 5, None, clock.now])
    await store.threads.truncate("t", drop=1)
    expect((await head_of(store)).message_times, (None, 5))
    await store.threads.truncate("t", keep=1)
    expect((await head_of(store)).message_times, ())


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def a_thread_that_is_created_may_be_given_its_times(store: Store, clock: ManualClock) -> None:
    thread = Thread(id="t", messages=(said("a"), said("b")), metadata=ThreadMetadata(updated_at=9))
    head = ThreadHead(thread=thread, version=0, message_times=(5, 9))
    commands = (CreateThread(thread=thread), RestoreThread(head=head))
    await store.commit(commands)
    expect(await head_of(store), head)
    [summary] = (await store.threads.list_summaries(by="updated_at", order="desc")).items
    expect(summary.metadata.updated_at, 9)
    with refused(AlreadyExists):
        await store.commit(commands)
    await store.threads.append("t", said("c"))
    expect(await times(store), [5, 9, clock.now])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def times_that_are_none_are_refused(store: Store) -> None:
    thread = Thread(id="t", messages=(said("a"),))
    with refused(InvalidValue):
        await store.commit(
            (RestoreThread(head=ThreadHead(thread=thread, version=0, message_times=(-1,))),)
        )
    with refused(InvalidValue) as caught:
        await store.threads.create(Thread(id="t", extra={"_message_times": [1]}))
    expect(caught.value.where, "createThread.thread.extra._message_times")


@checks.add(Guarantee.ACKNOWLEDGED_IS_KEPT, "durable")
async def a_durable_store_keeps_the_times_of_messages(harness: Harness) -> None:
    start = await create(harness.store, harness.clock)
    await harness.store.close()
    reopened = await harness.open()
    await reopened.threads.append("t", said("e"), now=7)
    expect(await times(reopened), [start, start, start + 1_000, start + 1_000, 7])


@checks.add(Guarantee.ONE_ORDER, "shared")
async def another_handle_sees_the_times_of_messages(harness: Harness) -> None:
    start = await create(harness.store, harness.clock)
    other = await harness.open()
    expect(len(await times(other)), 4)
    await harness.store.threads.append("t", said("e"), now=7)
    expect(await times(other), [start, start, start + 1_000, start + 1_000, 7])
