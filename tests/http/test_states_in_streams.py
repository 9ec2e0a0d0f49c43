"""States in the stream of a run: as a whole once, and then what patches change."""

import json
from typing import Any

from tests.http.streams_in_process import Stream
from tests.http.test_ag_ui import app_of, asked, changes_in, run, seen_of, states_in
from treadle import Message, Store, Thread, ThreadChangeSet, patches


async def commit(
    store: Store, stream: Stream, number: int, *ops: patches.Op, state: Any = None
) -> None:
    """Append a message, with a change of the state, and wait until the stream has the message."""
    changes = ThreadChangeSet(
        messages=[Message.assistant("so", id=f"m{number}")],
        patches=(patches.track(*ops),) if ops else (),
        snapshot=state,
    )
    await store.threads.append("t", changes)
    await stream.until(lambda seen: f'"m{number}"' in json.dumps(seen_of(seen)))


async def test_a_state_comes_once_and_then_what_changes(store: Store) -> None:
    items = ["x" * 100] * 1_000
    large = {"items": items, "n": 0}
    await store.threads.create(Thread(id="t", resource_id="anna", state=large))
    async with run(app_of(store), asked("r", "hello")) as stream:
        await stream.until_events(1)
        await commit(store, stream, 0)
        await commit(store, stream, 1, patches.Increment(("n",), 1))
        await commit(store, stream, 2)
        assert states_in(stream) == [{**large, "n": 1}]
        await commit(
            store, stream, 3, patches.Increment(("n",), 1), patches.Append(("items",), "y")
        )
        await commit(store, stream, 4, patches.Delete(("none",)), patches.Remove(("items",), "z"))
        await commit(store, stream, 5, state={"items": [*items, "y"], "n": 2})
        await commit(store, stream, 6, patches.Set(("__proto__", "n"), 1))
        await commit(store, stream, 7, state={"n": 7})
        await commit(store, stream, 8, patches.Set(("n",), 8))
        await commit(store, stream, 9)
    assert changes_in(stream) == [
        [
            {"op": "replace", "path": "/n", "value": 2},
            {"op": "add", "path": "/items/-", "value": "y"},
        ],
        [{"op": "replace", "path": "/n", "value": 8}],
    ]
    assert [each.get("n") for each in states_in(stream)] == [1, 2, 7]
    assert len(json.dumps(changes_in(stream))) < 200


async def test_a_state_that_cannot_be_read_for_a_time_comes_as_a_whole(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="anna", state={"n": 0}))
    async with run(app_of(store), asked("r", "hello")) as stream:
        await stream.until_events(1)
        await commit(store, stream, 1, patches.Increment(("n",), 1))
        await commit(store, stream, 2, patches.Set(("m",), 1), patches.Increment(("none",), 1))
        await commit(store, stream, 3, patches.Set(("m",), 1))
        await commit(store, stream, 4, state={"n": 1})
        await commit(store, stream, 5, patches.Set(("m",), 2))
        await commit(store, stream, 6)
    assert states_in(stream) == [{"n": 1}, {"n": 1}]
    assert changes_in(stream) == [[{"op": "add", "path": "/m", "value": 2}]]
