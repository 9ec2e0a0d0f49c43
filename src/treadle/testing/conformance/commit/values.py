"""Values: every value comes back exactly as it was given, in every field."""

from collections.abc import Awaitable, Callable
from typing import Any

from treadle import (
    Message,
    MessageMetadata,
    Patch,
    RunMeta,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    ToolCall,
    TrackedPatch,
)
from treadle.backends.base import Guarantee
from treadle.core.limits import (
    DEPTH,
    ID_BYTES,
    LARGEST_COUNT,
    LARGEST_INTEGER,
    LARGEST_TIME,
    SMALLEST_INTEGER,
)
from treadle.core.patches import Append
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_one,
    deltas_since,
    enqueue,
    entry,
    generation,
    head_of,
    loaded,
    loaded_run,
    run,
    said,
    says,
    sets,
    tracked,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

Keep = Callable[[Store, str, Any], Awaitable[Any]]
"""Puts a value somewhere under a key of its own, and reads it from there."""


# --- JSON -----------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    """A list in a list in a list, so deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


JSON: dict[str, Any] = {
    "nothing": None,
    "an integer": 1,
    "a float": 1.0,
    "a boolean": True,
    "zero": 0,
    "minus zero": -0.0,
    "no": False,
    "empty text": "",
    "an empty list": [],
    "an empty object": {},
    "the largest integer": LARGEST_INTEGER,
    "the smallest integer": SMALLEST_INTEGER,
    "large and small floats": [1e300, 5e-324, 0.1, 1e16, -1.5],
    "signs": 'quotes " and \\ and \x00\x1f\x7f\u2028\ufffe 🧵 e\u0301 é',
    "strange keys": {"": 1, "<extra>": 2, "extra": 3, "a.b": 4, "\x00": 5, "🧵": None},
    "deep": nested(DEPTH - 2),
    "long": "é" * 100_000,
}


async def _state(store: Store, key: str, value: Any) -> Any:
    await store.threads.create(Thread(id=key, state=value))
    return (await head_of(store, key)).thread.state


async def _snapshot(store: Store, key: str, value: Any) -> Any:
    await store.threads.create(Thread(id=key))
    await store.threads.append(key, ThreadChangeSet(snapshot=[value]))
    return (await head_of(store, key)).thread.state[0]


async def _patch(store: Store, key: str, value: Any) -> Any:
    await store.threads.create(Thread(id=key, state={}))
    await store.threads.append(key, ThreadChangeSet(patches=(sets("a", value),)))
    return (await head_of(store, key)).thread.rebuild_state()["a"]


async def _content(store: Store, key: str, value: Any) -> Any:
    message = Message(role="user", content=[value])
    await store.threads.create(Thread(id=key))
    await store.threads.append(key, ThreadChangeSet(messages=(message,)))
    page = await store.threads.list_messages(key)
    return page.messages[0].message.content[0]


async def _arguments(store: Store, key: str, value: Any) -> Any:
    call = ToolCall(id="c", name="n", arguments=value)
    await store.threads.create(Thread(id=key, messages=(said("x", tool_calls=(call,)),)))
    calls = (await head_of(store, key)).thread.messages[0].tool_calls
    assert calls is not None
    return calls[0].arguments


async def _action(store: Store, key: str, value: Any) -> Any:
    await store.threads.create(Thread(id=key))
    await store.threads.append(key, ThreadChangeSet(actions=(value,)))
    deltas = await store.threads.list_deltas(key, 0)
    assert deltas is not None
    return deltas[0].changes.actions[0]


async def _metadata(store: Store, key: str, value: Any) -> Any:
    await store.runs.upsert(run(key, metadata=value))
    return (await loaded_run(store, key)).metadata


async def _payload(store: Store, key: str, value: Any) -> Any:
    await enqueue(store, entry(key, key, payload=value))
    return (await claim_by_id(store, key)).payload


async def _sent(store: Store, key: str, value: Any) -> Any:
    sent = (await store.mailboxes.send(key, value)).entry
    expect(sent, await loaded(store, sent.entry_id))
    return sent.payload


KEEP_JSON: dict[str, Keep] = {
    "the state": _state,
    "a snapshot": _snapshot,
    "a patch": _patch,
    "a part of a message": _content,
    "a tool's arguments": _arguments,
    "an action": _action,
    "a run's metadata": _metadata,
    "a payload": _payload,
    "what is sent": _sent,
}


@checks.add(Guarantee.VALUES_ARE_KEPT, each=KEEP_JSON)
async def any_json_is_kept_in(store: Store, keep: Keep) -> None:
    for key, value in JSON.items():
        expect(await keep(store, key, value), value)


# --- text -----------------------------------------------------------------------------------------

TEXT = 'quotes " and \\ and % _ \x00\x1f\x7f\u2028\ufffe 🧵 e\u0301 é \n'
"""What files, SQL and PostgreSQL stumble over."""


async def _messages_text(store: Store) -> None:
    message = Message(
        id=TEXT,
        role="tool",
        content=TEXT,
        tool_call_id=TEXT,
        tool_calls=(ToolCall(id=TEXT, name=TEXT, arguments=TEXT),),
    )
    await store.threads.create(Thread(id="t"))
    for _ in range(2):
        await store.threads.append("t", ThreadChangeSet(messages=(message,)))
    expect((await head_of(store)).thread.messages, (message,))


async def _threads_text(store: Store) -> None:
    patch = TrackedPatch(patch=Patch(ops=()), id=TEXT, source=TEXT, description=TEXT)
    extra = {TEXT: TEXT}
    thread = Thread(id="t", resource_id=TEXT, patches=(patch,), extra=extra)
    await store.threads.create(thread)
    found = (await head_of(store)).thread
    expect((found.resource_id, found.patches, found.extra), (TEXT, (patch,), extra))
    expect((await store.threads.list(resource_id=TEXT)).items, ("t",))


async def _runs_text(store: Store) -> None:
    given = run("r", agent_id=TEXT, termination_code=TEXT, termination_detail=TEXT)
    await store.runs.upsert(given)
    expect((await store.runs.list(termination_code=TEXT)).items, (given,))


async def _entries_text(store: Store) -> None:
    sent = (await store.mailboxes.send("box", TEXT, dedupe_key=TEXT, sender_id=TEXT)).entry
    again = await store.mailboxes.send("box", None, dedupe_key=TEXT)
    expect((again.entry, again.was_known), (sent, True))
    claimed = await claim_one(store, consumer=TEXT)
    expect((claimed.claimed_by, claimed.sender_id, claimed.payload), (TEXT, TEXT, TEXT))
    await store.mailboxes.nack(claimed, error=TEXT)
    expect((await loaded(store, sent.entry_id)).last_error, TEXT)
    superseded = await store.mailboxes.supersede(sent.entry_id, TEXT)
    assert superseded is not None
    expect(superseded.last_error, TEXT)


KEEP_TEXT: dict[str, Callable[[Store], Awaitable[None]]] = {
    "messages": _messages_text,
    "threads": _threads_text,
    "runs": _runs_text,
    "entries": _entries_text,
}


@checks.add(Guarantee.VALUES_ARE_KEPT, each=KEEP_TEXT)
async def any_text_is_kept_in(store: Store, keep: Callable[[Store], Awaitable[None]]) -> None:
    await keep(store)


# --- ids ------------------------------------------------------------------------------------------

ALIKE = ("a", "A", "é", "e\u0301", "É", "a ", "a.b", "a_b", "a%b", "\u017f", "ss", "ß", "🧵", "🧶")
"""Ids that are others as soon as somebody folds case, composes accents, trims or matches."""


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def threads_whose_ids_look_alike_are_different(store: Store) -> None:
    for key in ALIKE:
        await store.threads.create(Thread(id=key, state=key))
        await store.threads.append(key, says(key))
    expect((await store.threads.list()).items, tuple(sorted(ALIKE)))
    for key in ALIKE:
        head = await head_of(store, key)
        expect((head.thread.state, head.version), (key, 1))
        expect([message.content for message in head.thread.messages], [key])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def runs_whose_ids_look_alike_are_different(store: Store) -> None:
    for key in ALIKE:
        await store.runs.upsert(run(key, key, agent_id=key))
    for key in ALIKE:
        expect((await loaded_run(store, key)).agent_id, key)
        page = await store.runs.list(thread_id=key)
        expect([each.run_id for each in page.items], [key])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def entries_and_mailboxes_whose_ids_look_alike_are_different(store: Store) -> None:
    await enqueue(store, *(entry(key, key, payload=key) for key in ALIKE))
    await store.mailboxes.interrupt("A")
    for key in ALIKE:
        expect((await loaded(store, key)).payload, key)
        page = await store.mailboxes.list_entries(mailbox_id=key)
        expect(([each.entry_id for each in page.items], page.total), ([key], 1))
        expect(await generation(store, key), int(key == "A"))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def dedupe_keys_that_look_alike_are_different(store: Store) -> None:
    for key in ALIKE:
        await store.mailboxes.send("box", key, dedupe_key=key)
    for key in ALIKE:
        expect((await store.mailboxes.send("box", None, dedupe_key=key)).entry.payload, key)
    expect((await store.mailboxes.count_entries("box")).queued, len(ALIKE))


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def message_ids_that_look_alike_are_different(store: Store) -> None:
    changes = ThreadChangeSet(messages=tuple(said(key, key) for key in ALIKE))
    await store.threads.create(Thread(id="t"))
    for _ in range(2):
        await store.threads.append("t", changes)
    expect((await head_of(store)).thread.messages, changes.messages)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def the_longest_ids_are_accepted(store: Store) -> None:
    for key in ("x" * ID_BYTES, "é" * (ID_BYTES // 2), "🧵" * (ID_BYTES // 4)):
        await store.threads.create(Thread(id=key))
        await store.threads.append(key, says("x", run_id=key, run_meta=RunMeta()))
        await enqueue(store, entry(key, key))
        expect((await head_of(store, key)).version, 1)
        expect((await loaded_run(store, key)).thread_id, key)
        expect((await claim_one(store, key)).entry_id, key)


# --- numbers --------------------------------------------------------------------------------------


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def the_largest_numbers_of_a_thread_are_kept(store: Store) -> None:
    metadata = ThreadMetadata(
        created_at=LARGEST_TIME, version=LARGEST_TIME, version_timestamp=LARGEST_TIME
    )
    placed = MessageMetadata(step_index=SMALLEST_INTEGER)
    thread = Thread(id="t", messages=(said("x", metadata=placed),), metadata=metadata)
    await store.threads.create(thread, now=LARGEST_TIME)
    found = (await head_of(store)).thread
    expect(found.metadata.created_at, LARGEST_TIME)
    expect(found.metadata.updated_at, LARGEST_TIME)
    expect((found.metadata.version, found.metadata.version_timestamp), (LARGEST_TIME,) * 2)
    expect(found.messages, thread.messages)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def the_largest_numbers_of_a_run_are_kept(store: Store) -> None:
    given = run(
        "r",
        created_at=LARGEST_TIME,
        updated_at=LARGEST_TIME,
        input_tokens=LARGEST_INTEGER,
        output_tokens=LARGEST_INTEGER,
    )
    await store.runs.upsert(given)
    expect(await loaded_run(store), given)
    expect((await store.runs.list(updated_at_from=LARGEST_TIME)).total, 1)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def the_largest_numbers_of_an_entry_are_kept_and_can_be_incremented(store: Store) -> None:
    given = entry(
        "e",
        priority=255,
        generation=LARGEST_COUNT,
        attempt_count=LARGEST_COUNT,
        created_at=LARGEST_TIME,
        updated_at=LARGEST_TIME,
    )
    await enqueue(store, given)
    expect(await loaded(store), given)
    expect((await claim_one(store)).attempt_count, LARGEST_COUNT + 1)
    await store.mailboxes.interrupt("box")
    expect(await generation(store), LARGEST_COUNT + 1)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def times_are_limited_to_the_largest_time(store: Store, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("late", None, delay_ms=LARGEST_TIME)).entry
    expect(sent.available_at, LARGEST_TIME)
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=LARGEST_TIME)
    expect(claimed.lease_until, LARGEST_TIME)
    clock.now += 5
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=LARGEST_TIME), True)
    expect((await loaded(store)).lease_until, LARGEST_TIME)
    clock.now = LARGEST_TIME
    expect((await claim_one(store)).lease_until, LARGEST_TIME)


# --- what the model does not know -----------------------------------------------------------------

EXTRA: dict[str, Any] = {"later": {"a": [1.0, None]}, "<extra>": 1, "": True}


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def unknown_fields_are_kept_at_every_level_of_a_thread(store: Store) -> None:
    call = ToolCall(id="c", name="n", extra=EXTRA)
    placed = MessageMetadata(run_id="r", extra=EXTRA)
    message = said("x", tool_calls=(call,), metadata=placed, extra=EXTRA)
    patch = TrackedPatch(patch=Patch(ops=(), extra=EXTRA), extra=EXTRA)
    more = ThreadChangeSet(messages=(message,), patches=(patch,), extra=EXTRA)
    metadata = ThreadMetadata(created_at=1, extra=EXTRA)
    first = tracked(Append(path=("a",), value=1, extra=EXTRA))
    thread = Thread(id="t", messages=(message,), patches=(first,), metadata=metadata, extra=EXTRA)
    await store.threads.create(thread, now=2)
    await store.threads.append("t", more, now=2)
    found = (await head_of(store)).thread
    expect(found.messages, (message, message))
    expect(found.patches, (first, patch))
    expect(found.metadata, ThreadMetadata(created_at=1, updated_at=2, extra=EXTRA))
    expect(found.extra, EXTRA)
    (delta,) = await deltas_since(store, 0)
    expect(delta.changes, more)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def unknown_fields_of_a_run_are_kept(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r", extra=EXTRA))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()))
    await store.threads.append("t", says("y", run_id="r"))
    expect((await loaded_run(store)).extra, EXTRA)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def unknown_fields_of_an_entry_are_kept_through_every_status(store: Store) -> None:
    await enqueue(store, entry("e", extra=EXTRA))
    await store.mailboxes.extend_lease(await claim_one(store))
    await store.mailboxes.nack(await loaded(store))
    await store.mailboxes.release(await claim_one(store))
    await store.mailboxes.dead_letter(await claim_one(store))
    await store.mailboxes.requeue("e")
    await store.mailboxes.cancel("e")
    expect((await loaded(store)).extra, EXTRA)
