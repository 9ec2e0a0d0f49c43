"""Isolation: a caller that changes a value which it got does not change the store.

The façade copies the values that a caller passes, before a backend sees them.
"""

from typing import Any

import msgspec

from treadle import Message, Store, Thread, ThreadChangeSet, ThreadMetadata, ToolCall
from treadle.backends.base import Guarantee
from treadle.core.patches import Append
from treadle.testing._harness.builders import (
    claim_by_id,
    enqueue,
    entry,
    loaded,
    run,
    said,
    sets,
    tracked,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect
from treadle.testing._harness.sample_data import MAILBOXES, WRITES, fill

checks = Checks(__name__)


def spoil(value: Any) -> int:
    """Change every list and dict inside a value; how many there were."""
    match value:
        case msgspec.Struct():
            return sum(spoil(getattr(value, name)) for name in value.__struct_fields__)
        case dict():
            count = sum(spoil(item) for item in value.values())
            value["spoiled"] = True
            return count + 1
        case list():
            count = sum(spoil(item) for item in value)
            value.append("spoiled")
            return count + 1
        case tuple():
            return sum(spoil(item) for item in value)
        case _:
            return 0


def rich_message() -> Message:
    call = ToolCall(id="c", name="n", arguments={"list": [1]}, extra={"later": []})
    return said("x", tool_calls=(call,), extra={"later": {"a": []}})


def rich_thread() -> Thread:
    return Thread(
        id="rich",
        state={"list": [1, {"a": []}]},
        messages=(rich_message(), Message(role="user", content=[{"type": "text"}])),
        patches=(sets("a", [1]), tracked(Append(path=("a",), value={"b": []}))),
        metadata=ThreadMetadata(extra={"later": []}),
        extra={"later": {"a": []}},
    )


def rich_changes() -> ThreadChangeSet:
    return ThreadChangeSet(
        messages=(rich_message(),),
        patches=(sets("b", {"c": []}),),
        actions=({"kind": []},),
        snapshot={"s": [1]},
        extra={"later": []},
    )


@checks.add(Guarantee.NOTHING_IS_SHARED, each=tuple(WRITES))
async def changing_the_result_of_a_write_does_not_change_the_store(store: Store, name: str) -> None:
    sample = await fill(store)
    async with store.batch() as step:
        WRITES[name](step, sample)
    before = await read_everything(store, MAILBOXES)
    spoil(step.receipt)
    spoil(sample)
    expect(await read_everything(store, MAILBOXES), before)


@checks.add(Guarantee.NOTHING_IS_SHARED, each={"new": False, "duplicate": True})
async def changing_the_result_of_a_send_does_not_change_the_store(
    store: Store, again: bool
) -> None:
    if again:
        await store.mailboxes.send("box", {"a": [1]}, dedupe_key="k")
    sent = (await store.mailboxes.send("box", {"a": [1]}, dedupe_key="k")).entry
    assert spoil(sent) > 2
    expect((await loaded(store, sent.entry_id)).payload, {"a": [1]})


@checks.add(Guarantee.NOTHING_IS_SHARED)
async def changing_the_result_of_a_read_does_not_change_the_store(store: Store) -> None:
    await store.threads.create(rich_thread())
    await store.threads.append("rich", rich_changes())
    await store.runs.upsert(run("r", "rich", metadata={"a": [1]}))
    await enqueue(store, entry("e", payload={"a": [1]}), entry("f", payload={"a": [1]}))
    held = await claim_by_id(store, "f")
    before = await read_everything(store, MAILBOXES)
    for read in (
        await store.threads.load("rich"),
        await store.threads.list_messages("rich"),
        await store.threads.list_deltas("rich", 0),
        await store.runs.load("r"),
        await store.runs.list(),
        await store.runs.find_active("rich"),
        await store.mailboxes.load_entry("e"),
        await store.mailboxes.load("box"),
        await store.mailboxes.list_entries(),
        await store.mailboxes.list(),
        await store.mailboxes.count_entries(),
        held,
    ):
        assert spoil(read) > 0
        expect(await read_everything(store, MAILBOXES), before)


@checks.add(Guarantee.NOTHING_IS_SHARED)
async def changing_the_result_of_an_ending_does_not_change_the_store(store: Store) -> None:
    await enqueue(store, entry("e", payload={"a": [1]}))
    for found in (
        await store.mailboxes.cancel("e"),
        await store.mailboxes.cancel("e"),
        await store.mailboxes.supersede("e", "newer"),
        await store.mailboxes.requeue("e"),
    ):
        assert spoil(found) > 1
    expect((await loaded(store)).payload, {"a": [1]})
