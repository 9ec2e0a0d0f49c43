"""Following a thread: each version comes once and in order, until it is deleted."""

import asyncio
from collections.abc import Sequence

from treadle import (
    FollowedItem,
    LiveValue,
    RunEnded,
    Store,
    Thread,
    ThreadDeleted,
    ThreadDelta,
    ThreadHead,
    ThreadReset,
)
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.listening import listening

checks = Checks(__name__)


def versions(items: Sequence[FollowedItem]) -> list[int]:
    """The versions of the deltas, in the order in which they came."""
    return [item.version for item in items if isinstance(item, ThreadDelta)]


async def append(store: Store, count: int) -> None:
    """Append some messages to the thread `t`, one after the other."""
    for number in range(count):
        await store.threads.append("t", says(str(number)))


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_follower_gets_each_version_once_and_in_order(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await append(store, 3)
    async with listening(store.threads.follow("t", 1)) as follower:
        await asyncio.gather(*(append(store, 4) for _ in range(3)))
        await follower.until(lambda items: len(items) >= 14)
        expect(versions(follower.items), list(range(2, 16)))
        expect(tuple(follower.items), await store.threads.list_deltas("t", 1))


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_follower_gets_a_thread_that_was_saved_as_a_whole(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with listening(store.threads.follow("t", 0)) as follower:
        await append(store, 1)
        await follower.until(lambda items: len(items) == 1)
        await store.threads.save(Thread(id="t"))
        await follower.until(lambda items: len(items) == 2)
        expect(follower.items[1], ThreadReset(head=await _loaded(store)))
        await append(store, 1)
        await follower.until(lambda items: len(items) == 3)
        expect(versions(follower.items), [1, 3])


@checks.add(Guarantee.CHANGES_ARE_HINTED)
async def a_follower_ends_with_the_deletion_of_the_thread(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with listening(store.threads.follow("t", 0)) as follower:
        await append(store, 1)
        await follower.until(lambda items: len(items) == 1)
        await store.threads.delete("t")
        await follower.until_end()
        expect(follower.items[1:], [ThreadDeleted(thread_id="t")])


@checks.add(Guarantee.CHANGES_ARE_HINTED, "shared")
async def a_follower_gets_what_another_handle_appends(harness: Harness) -> None:
    await harness.store.threads.create(Thread(id="t"))
    other = await harness.open()
    async with listening(harness.store.threads.follow("t", 0)) as follower:
        await asyncio.gather(append(other, 10), append(harness.store, 10))
        await follower.until(lambda items: len(items) >= 20)
        expect(versions(follower.items), list(range(1, 21)))


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def a_follower_gets_live_values_between_the_deltas(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await append(store, 1)
    async with listening(store.threads.follow("t", 0, live=True)) as follower:
        await follower.until(lambda items: len(items) == 1)
        await store.live.publish("t", {"number": 1})
        await follower.until(lambda items: len(items) == 2)
        await append(store, 1)
        await follower.until(lambda items: len(items) == 3)
        await store.live.publish("t", {"number": 2})
        await follower.until(lambda items: len(items) == 4)
        await append(store, 1)
        await follower.until(lambda items: len(items) == 5)
        await store.threads.delete("t")
        await follower.until_end()
    found = [item.value if isinstance(item, LiveValue) else None for item in follower.items]
    expect(found, [None, {"number": 1}, None, {"number": 2}, None, None])
    deltas = [item for item in follower.items if not isinstance(item, LiveValue | RunEnded)]
    expect((versions(deltas), deltas[-1]), ([1, 2, 3], ThreadDeleted(thread_id="t")))


async def _loaded(store: Store) -> ThreadHead:
    head = await store.threads.load("t")
    assert head is not None
    return head
