"""What a commit makes is freed when it ends: nothing is left for the garbage collector.

Values that refer to each other in a circle stay in memory until it runs. It runs once in so many
commits, in the program's own time, and looks at the program's values, too.
"""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.marks import every_backend
from treadle import Message, Store, Thread

COMMITS = 5


async def append(store: Store) -> None:
    await store.threads.append("t", Message.user("Hi"))


async def update(store: Store) -> None:
    await store.threads.update("t", metadata={"title": "Hi"})


async def send(store: Store) -> None:
    await store.mailboxes.send("box", "Hi")


async def work(store: Store) -> None:
    [entry] = await store.mailboxes.claim(consumer="worker")
    async with store.batch() as step:
        step.mailboxes.hold(entry)
        step.threads.append("t", Message.assistant("Hello"))
        step.mailboxes.ack(entry)


async def put(store: Store) -> None:
    await store.documents.put("notes", "key", "Hi")


async def garbage_of(act: Callable[[Store], Awaitable[None]], store: Store) -> Counter[str]:
    """What of ours is left for the garbage collector."""
    was_enabled = gc.isenabled()
    gc.freeze()  # what is there already takes longer to look at than the commits take
    gc.disable()
    try:
        for _ in range(COMMITS):
            await act(store)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return Counter(
            type(each).__name__
            for each in gc.garbage
            if type(each).__module__.startswith("treadle.")
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()


@every_backend
@pytest.mark.parametrize("act", [append, update, send, work, put], ids=lambda act: act.__name__)
async def test_a_commit_leaves_no_garbage(
    store: Store, act: Callable[[Store], Awaitable[None]]
) -> None:
    await store.threads.create(Thread(id="t"))
    for _ in range(2 * COMMITS):
        await store.mailboxes.send("box", "Hi")
    await act(store)  # what is made once, such as texts of statements
    assert await garbage_of(act, store) == Counter()
