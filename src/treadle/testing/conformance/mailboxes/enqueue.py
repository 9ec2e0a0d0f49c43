"""Enqueue: work is sent or enqueued, once; its mailbox is created."""

import asyncio
from typing import Any

from msgspec.structs import replace

from treadle import (
    AlreadyExists,
    GenerationMismatch,
    InvalidValue,
    MailboxEntry,
    MailboxState,
    Sent,
    Store,
)
from treadle.backends.base import Guarantee
from treadle.core.limits import HEADER_NAME, HEADER_VALUE, HEADERS
from treadle.testing._harness.builders import TERMINAL, claim_one, end, entry, loaded
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


# --- send ---------------------------------------------------------------------------------------


@checks.add(Guarantee.TIME_IS_GIVEN)
async def send_fills_in_id_generation_and_times(store: Store, clock: ManualClock) -> None:
    sent = (
        await store.mailboxes.send(
            "box",
            {"a": [1.0]},
            priority=9,
            delay_ms=500,
            dedupe_key="k",
            sender_id="me",
            origin="internal",
            headers={"traceparent": "00-1", "é": ""},
        )
    ).entry
    expect(sent, await store.mailboxes.load_entry(sent.entry_id))
    expect(
        sent,
        MailboxEntry(
            entry_id=sent.entry_id,
            mailbox_id="box",
            payload={"a": [1.0]},
            headers={"traceparent": "00-1", "é": ""},
            origin="internal",
            sender_id="me",
            priority=9,
            dedupe_key="k",
            available_at=clock.now + 500,
            closes_runs=True,
            created_at=clock.now,
            updated_at=clock.now,
        ),
    )


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def each_send_has_a_new_id_that_sorts_after_earlier_ones(
    store: Store,
) -> None:
    ids = [(await store.mailboxes.send("box", None)).entry.entry_id for _ in range(5)]
    expect(len(set(ids)), 5)
    expect([key[:8] for key in ids], sorted(key[:8] for key in ids))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def the_first_send_creates_the_mailbox_at_generation_0(
    store: Store, clock: ManualClock
) -> None:
    expect(await store.mailboxes.load("box"), None)
    await store.mailboxes.send("box", None)
    state = await store.mailboxes.load("box")
    now = clock.now
    expect(state, MailboxState(mailbox_id="box", updated_at=now, last_turn=now))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def new_entries_change_nothing_of_their_mailbox_but_its_last_turn(
    store: Store, clock: ManualClock
) -> None:
    state = (await store.mailboxes.interrupt("box")).mailbox_state
    clock.now += 10
    await store.mailboxes.enqueue(entry("e", generation=1, updated_at=clock.now))
    expect(await store.mailboxes.load("box"), state)
    await store.mailboxes.send("box", None)
    expect(await store.mailboxes.load("box"), replace(state, last_turn=clock.now))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def send_takes_the_current_generation(store: Store) -> None:
    await store.mailboxes.interrupt("box")
    await store.mailboxes.interrupt("box")
    expect((await store.mailboxes.send("box", None)).entry.generation, 2)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_send_with_a_known_dedupe_key_returns_the_first_entry_and_writes_nothing(
    store: Store, clock: ManualClock
) -> None:
    first = await store.mailboxes.send("box", "first", dedupe_key="k", priority=1)
    expect(first.was_known, False)
    before = await read_everything(store, ["box"])
    clock.now += 10
    again = await store.mailboxes.send("box", "second", dedupe_key="k", priority=2)
    expect(again, Sent(entry=first.entry, was_known=True))
    expect(await read_everything(store, ["box"]), before)


@checks.add(Guarantee.WORK_COMES_IN_ONCE, each=TERMINAL)
async def a_dedupe_key_is_known_after_its_entry_has_ended(store: Store, how: str) -> None:
    first = (await store.mailboxes.send("box", None, dedupe_key="k")).entry
    await end(store, first.entry_id, how)
    again = await store.mailboxes.send("box", None, dedupe_key="k")
    expect(again.was_known, True)
    expect((again.entry.entry_id, again.entry.status), (first.entry_id, how))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def a_dedupe_key_is_known_after_an_interrupt(store: Store) -> None:
    first = (await store.mailboxes.send("box", None, dedupe_key="k")).entry
    await store.mailboxes.interrupt("box")
    again = (await store.mailboxes.send("box", None, dedupe_key="k")).entry
    expect((again.entry_id, again.status), (first.entry_id, "superseded"))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def each_mailbox_has_its_own_dedupe_keys(store: Store) -> None:
    one = await store.mailboxes.send("box", None, dedupe_key="k")
    other = await store.mailboxes.send("other", None, dedupe_key="k")
    assert one.entry.entry_id != other.entry.entry_id
    expect((one.was_known, other.was_known), (False, False))
    expect((await store.mailboxes.count_entries()).queued, 2)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def entries_without_a_dedupe_key_are_never_duplicates(store: Store) -> None:
    for _ in range(2):
        expect((await store.mailboxes.send("box", None)).was_known, False)
    expect((await store.mailboxes.count_entries("box")).queued, 2)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def the_empty_dedupe_key_is_a_key(store: Store) -> None:
    first = await store.mailboxes.send("box", 1, dedupe_key="")
    again = await store.mailboxes.send("box", 2, dedupe_key="")
    expect(again, Sent(entry=first.entry, was_known=True))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def sends_that_arrive_together_with_one_dedupe_key_add_one_entry(store: Store) -> None:
    sent = await asyncio.gather(
        *(store.mailboxes.send("box", number, dedupe_key="k") for number in range(10))
    )
    expect((await store.mailboxes.count_entries("box")).queued, 1)
    expect({each.entry.entry_id for each in sent}, {sent[0].entry.entry_id})
    expect([each.was_known for each in sent].count(False), 1)


# --- headers ------------------------------------------------------------------------------------


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def headers_come_with_every_entry_that_is_returned(store: Store) -> None:
    headers = {"traceparent": "00-1", "<extra>": "🧵\x00"}
    await store.mailboxes.send("box", 1, headers=headers)
    held = await claim_one(store)
    expect(held.headers, headers)
    await store.mailboxes.release(held)
    expect((await loaded(store, held.entry_id)).headers, headers)
    found = await store.mailboxes.search_entries(mailbox_id="box")
    expect([each.headers for each in found.items], [headers])
    await store.mailboxes.dead_letter(await claim_one(store), error="no")
    back = await store.mailboxes.requeue(held.entry_id)
    expect(back and back.headers, headers)
    ended = await store.mailboxes.interrupt("box")
    expect([each.headers for each in ended.superseded_entries], [headers])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def headers_have_limits(store: Store) -> None:
    largest = {f"{number:0100}": "🧵" * HEADER_VALUE for number in range(HEADERS)}
    sent = await store.mailboxes.send("box", 1, headers=largest)
    expect((await loaded(store, sent.entry.entry_id)).headers, largest)
    wrong: list[Any] = [
        {"": "nameless"},
        {"a" * (HEADER_NAME + 1): "x"},
        {"a": "x" * (HEADER_VALUE + 1)},
        {str(number): "" for number in range(HEADERS + 1)},
        {"a": 1},
        {"a": None},
        {1: "a"},
        {"a": "\ud800"},
    ]
    for each in wrong:
        with refused(InvalidValue) as refusal:
            await store.mailboxes.send("box", 1, headers=each)
        assert "headers" in str(refusal.value), refusal.value
        with refused(InvalidValue):
            await store.mailboxes.enqueue(entry("e", headers=each))
    expect((await store.mailboxes.count_entries()).queued, 1)


# --- enqueue ------------------------------------------------------------------------------------


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def enqueue_stores_the_entry_as_it_is(store: Store) -> None:
    given = entry(
        "e",
        payload=[None],
        priority=3,
        available_at=5,
        attempt_count=2,
        last_error="before",
        created_at=6,
        updated_at=7,
        extra={"later": True},
    )
    await store.mailboxes.enqueue(given)
    expect(await store.mailboxes.load_entry("e"), given)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def enqueue_creates_the_mailbox_at_the_entry_s_generation(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", generation=4, updated_at=9))
    state = await store.mailboxes.load("box")
    expect(state, MailboxState(mailbox_id="box", current_generation=4, updated_at=9))


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def enqueue_refuses_a_known_entry_id_in_any_mailbox(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1))
    with refused(AlreadyExists) as caught:
        await store.mailboxes.enqueue(entry("e", "other"))
    expect((caught.value.kind, caught.value.key), ("mailbox entry", "e"))
    expect((await loaded(store)).payload, 1)
    expect(await store.mailboxes.load("other"), None)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def enqueue_refuses_a_known_dedupe_key_of_the_mailbox(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", dedupe_key="k"))
    with refused(AlreadyExists) as caught:
        await store.mailboxes.enqueue(entry("f", dedupe_key="k"))
    expect((caught.value.kind, caught.value.key), ("dedupe key", "k"))
    expect(await store.mailboxes.load_entry("f"), None)
    await store.mailboxes.enqueue(entry("f", "other", dedupe_key="k"))


@checks.add(Guarantee.WORK_COMES_IN_ONCE, each=[0, 2, 7])
async def enqueue_refuses_any_generation_but_the_current_one(store: Store, given: int) -> None:
    await store.mailboxes.interrupt("box")
    with refused(GenerationMismatch) as caught:
        await store.mailboxes.enqueue(entry("e", generation=given))
    error = caught.value
    expect((error.mailbox_id, error.expected, error.actual), ("box", 1, given))
    expect(await store.mailboxes.load_entry("e"), None)


@checks.add(Guarantee.WORK_COMES_IN_ONCE)
async def enqueue_checks_the_id_then_the_generation_then_the_dedupe_key(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", dedupe_key="k"))
    with refused(AlreadyExists) as known:
        await store.mailboxes.enqueue(entry("e", generation=7, dedupe_key="k"))
    expect((known.value.kind, known.value.key), ("mailbox entry", "e"))
    with refused(GenerationMismatch) as mismatch:
        await store.mailboxes.enqueue(entry("f", generation=7, dedupe_key="k"))
    expect((mismatch.value.expected, mismatch.value.actual), (0, 7))


# --- the mailbox -------------------------------------------------------------------------------


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def ensure_creates_the_mailbox_once_and_updates_its_time_afterwards(
    store: Store, clock: ManualClock
) -> None:
    first = await store.mailboxes.ensure("box")
    expect(first, MailboxState(mailbox_id="box", current_generation=0, updated_at=clock.now))
    await store.mailboxes.interrupt("box")
    clock.now += 5
    again = await store.mailboxes.ensure("box")
    expect(again, MailboxState(mailbox_id="box", current_generation=1, updated_at=clock.now))
    expect(await store.mailboxes.load("box"), again)
