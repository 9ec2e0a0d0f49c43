"""Live values: who follows gets them exactly, in order and at most once, and nothing is kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from treadle import Json, Store, Thread
from treadle.backends.base import Guarantee
from treadle.core.limits import LIVE_BYTES, LIVE_VALUES
from treadle.errors import InvalidId, InvalidValue
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import ChildProcess
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.listening import Listener, listening

checks = Checks(__name__)

VALUES: dict[str, Json] = {
    "null": None,
    "true": True,
    "a float": 1.0,
    "a large integer": 2**64 - 1,
    "a small integer": -(2**63),
    "a text": "ô\u0000\n\U0001f600",
    "an object": {"b": [1, {"": None}], "a": -0.5},
    "the largest": "x" * (LIVE_BYTES - 2),
}
REFUSED: dict[str, Json] = {
    "too large": "x" * (LIVE_BYTES - 1),
    "not a number": float("nan"),
    "an integer beyond 64 bits": 2**64,
    "a lone surrogate": "\ud800",
    "bytes": b"x",
}


@asynccontextmanager
async def following(store: Store, thread_id: str = "t") -> AsyncGenerator[Listener[Json]]:
    """Follow the live values of a thread during the block."""
    async with store.live.follow(thread_id) as values, listening(values) as follower:
        yield follower


async def until(follower: Listener[Json], *values: Json) -> None:
    """Return once just these values have come; more may be missing."""
    await follower.until(lambda items: len(items) >= len(values))
    expect(follower.items, list(values))


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, each=VALUES)
async def a_live_value_comes_exactly(store: Store, value: Json) -> None:
    async with following(store) as follower:
        await store.live.publish("t", value)
        await until(follower, value)


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, each=REFUSED)
async def a_live_value_that_json_cannot_hold_is_refused(store: Store, value: Json) -> None:
    async with following(store) as follower:
        with refused(InvalidValue):
            await store.live.publish("t", value)
        await store.live.publish("t", "next")
        await until(follower, "next")


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def a_live_value_belongs_to_a_thread(store: Store) -> None:
    for wrong in ("", "a/b", ".."):
        with refused(InvalidId):
            await store.live.publish(wrong, 1)
        with refused(InvalidId):
            async with store.live.follow(wrong):
                pass


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def live_values_come_in_order_and_once(store: Store) -> None:
    async with following(store) as follower:
        for number in range(500):
            await store.live.publish("t", number)
            if number % 50 == 0:
                await asyncio.sleep(0.002)
        await until(follower, *range(500))
        expect(await follower.until_quiet(), list(range(500)))


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def only_those_who_follow_the_thread_get_a_live_value(store: Store) -> None:
    async with following(store) as one, following(store, "T") as other:
        await store.live.publish("t", 1)
        await store.live.publish("T", 2)
        await store.live.publish("t", 3)
        await until(one, 1, 3)
        await until(other, 2)


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def all_who_follow_get_a_live_value(store: Store) -> None:
    async with AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(following(store)) for _ in range(3)]
        await store.live.publish("t", {"a": [1]})
        for follower in followers:
            await until(follower, {"a": [1]})


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def a_live_value_that_was_published_before_does_not_come(store: Store) -> None:
    async with following(store) as earlier:
        await store.live.publish("t", "before")
        await until(earlier, "before")
        async with following(store) as later:
            await store.live.publish("t", "after")
            await until(later, "after")
    async with following(store) as last:
        await store.live.publish("t", "at last")
        await until(last, "at last")


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def a_live_value_is_not_shared(store: Store) -> None:
    value = {"a": [1]}
    async with following(store) as one, following(store) as two:
        await store.live.publish("t", value)
        value["a"].append(2)
        await until(one, {"a": [1]})
        await two.until(lambda items: len(items) == 1)
        one.items[0]["a"].append(3)
        expect(two.items, [{"a": [1]}])


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def a_live_value_changes_nothing(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    before = await read_everything(store)
    async with following(store) as follower:
        await store.live.publish("t", 1)
        await until(follower, 1)
    expect(await read_everything(store), before)


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def who_does_not_ask_loses_the_oldest_live_values(store: Store) -> None:
    count = 3 * LIVE_VALUES
    async with store.live.follow("t") as values:
        for number in range(count):
            await store.live.publish("t", number)
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        async with listening(values) as follower:
            await follower.until(lambda items: count - 1 in items)
            expect(follower.items, sorted(set(follower.items)))
            assert len(follower.items) <= LIVE_VALUES, "more values are kept than there may be"


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE)
async def live_values_end_with_the_store(harness: Harness) -> None:
    store = await harness.open()
    async with following(store) as follower:
        await store.close()
        await follower.until_end()


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "shared", "notifies")
async def live_values_of_another_handle_come_in_order(harness: Harness) -> None:
    other = await harness.open()
    async with following(harness.store) as follower:
        for number in range(500):
            await (other if number % 2 else harness.store).live.publish("t", number)
            await asyncio.sleep(0)
        await follower.until(lambda items: len(items) >= 500)
        expect([each for each in follower.items if each % 2], list(range(1, 500, 2)))
        expect([each for each in follower.items if not each % 2], list(range(0, 500, 2)))


async def publish_some(store: Store) -> None:
    """Live values that another process publishes."""
    for number in range(100):
        await store.live.publish("t", {"number": number})


@checks.add(Guarantee.LIVE_VALUES_COME_AT_MOST_ONCE, "shared", "notifies")
async def live_values_of_another_process_come_in_order(harness: Harness) -> None:
    with ChildProcess(harness.subject, harness.folder) as other:
        async with following(harness.store) as follower:
            other.begin(publish_some)
            await follower.until(lambda items: len(items) >= 100)
            expect(follower.items, [{"number": number} for number in range(100)])
        await asyncio.to_thread(other.result)
