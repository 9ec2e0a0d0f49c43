"""Claims: who gets which entry, and for how long."""

import asyncio
import uuid
from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_ids,
    claim_one,
    enqueue,
    entry,
    loaded,
    status,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.mailboxes.settlements import SETTLE, Settle

checks = Checks(__name__)


# --- what a claim does --------------------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_sets_token_consumer_lease_and_counts_the_attempt(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e", attempt_count=2, last_error="before", extra={"later": 1}))
    clock.now += 7
    (claimed,) = await store.mailboxes.claim(consumer="w", lease_ms=500)
    expect(claimed, await store.mailboxes.load_entry("e"))
    expect(
        claimed,
        entry(
            "e",
            status="claimed",
            claim_token=claimed.claim_token,
            claimed_by="w",
            lease_until=clock.now + 500,
            attempt_count=3,
            last_error="before",
            updated_at=clock.now,
            extra={"later": 1},
        ),
    )
    expect(uuid.UUID(claimed.claim_token).version, 4)


@checks.add(Guarantee.ONE_HOLDER)
async def every_claim_has_a_new_token(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("a", "box a"), entry("b", "box b"))
    tokens = []
    for _ in range(3):
        claimed = await store.mailboxes.claim(2, consumer="w", lease_ms=10)
        tokens += [each.claim_token for each in claimed]
        clock.now += 10
    expect(len(set(tokens)), 6)


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_from_an_empty_store_returns_nothing(store: Store) -> None:
    expect(await store.mailboxes.claim(consumer="w"), ())
    expect(await store.mailboxes.claim_entry("e", consumer="w"), None)


# --- the order ----------------------------------------------------------------------------------


PRECEDENCE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "priority": ({"priority": 1, "available_at": 9, "created_at": 9}, {}),
    "highest priority": ({"priority": 255, "available_at": 9}, {"priority": 254}),
    "longest due": ({"available_at": 1, "created_at": 9}, {"available_at": 2}),
    "oldest": ({"created_at": 1}, {"created_at": 2}),
}


@checks.add(Guarantee.ONE_HOLDER, each=PRECEDENCE)
async def the_claim_order_is_decided_by(
    store: Store, first: dict[str, Any], second: dict[str, Any]
) -> None:
    await enqueue(store, entry("a", **second), entry("b", **first))
    await enqueue(store, entry("c", "one", **second), entry("d", "other", **first))
    expect(await claim_ids(store, 1, mailbox_id="box"), ["b"])
    expect(await claim_ids(store, 1), ["d"])


@checks.add(Guarantee.ONE_HOLDER)
async def the_smallest_id_is_claimed_first_among_equal_entries(store: Store) -> None:
    await enqueue(store, entry("b"), entry("a"), entry("d", "one"), entry("c", "other"))
    expect(await claim_ids(store, 1, mailbox_id="box"), ["a"])
    expect(await claim_ids(store, 1), ["c"])


@checks.add(Guarantee.ONE_HOLDER)
async def ids_are_compared_by_code_points(store: Store) -> None:
    for key in ("b", "🧵", "a", "B", "\ufb00"):
        await enqueue(store, entry(key), entry(f"{key}+", f"box {key}"))
    expect(await claim_ids(store, 1, mailbox_id="box"), ["B"])
    expect(await claim_ids(store), ["B+", "a+", "b+", "\ufb00+", "🧵+"])


@checks.add(Guarantee.ONE_HOLDER)
async def a_retry_is_in_line_by_its_new_time(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"), entry("other", available_at=5))
    await store.mailboxes.nack(await claim_one(store), retry_at=clock.now - 1)
    expect((await loaded(store)).available_at, clock.now - 1)
    expect(await claim_ids(store), ["other"])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_of_several_returns_them_in_claim_order(store: Store) -> None:
    await enqueue(
        store,
        entry("low", "box 1"),
        entry("high", "box 2", priority=2),
        entry("old", "box 3", available_at=0, created_at=0),
        entry("new", "box 4", created_at=5),
    )
    expect(await claim_ids(store), ["high", "low", "old", "new"])


# --- one holder for each mailbox ----------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_takes_one_entry_from_each_mailbox_and_no_more_than_its_limit(
    store: Store,
) -> None:
    for key in ("a", "b", "c"):
        await enqueue(store, entry(f"{key}1", key), entry(f"{key}2", key))
    expect(await claim_ids(store, 2), ["a1", "b1"])
    expect(await claim_ids(store), ["c1"])
    expect(await claim_ids(store), [])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_of_many_takes_one_from_every_mailbox(store: Store) -> None:
    ids = [f"e{number:03}" for number in range(250)]
    async with store.batch() as step:
        for key in ids:
            step.mailboxes.enqueue(entry(key, f"box {key}"))
    expect(await claim_ids(store, 10**6), ids)


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_finds_the_first_in_line_among_many(store: Store) -> None:
    async with store.batch() as step:
        for number in range(249):
            step.mailboxes.enqueue(entry(f"e{number:03}", created_at=9))
        step.mailboxes.enqueue(entry("best", priority=1, created_at=9))
        step.mailboxes.enqueue(entry("oldest", created_at=1))
    for best in ("best", "oldest", "e000"):
        claimed = await claim_one(store)
        expect(claimed.entry_id, best)
        await store.mailboxes.ack(claimed)


@checks.add(Guarantee.ONE_HOLDER, each=[0, -1])
async def a_claim_of_none_takes_none(store: Store, limit: int) -> None:
    await enqueue(store, entry("e"))
    expect(await claim_ids(store, limit), [])
    expect(await status(store, "e"), "queued")


@checks.add(Guarantee.ONE_HOLDER)
async def a_mailbox_with_a_live_lease_gives_nothing_however_urgent(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"))
    await claim_one(store, lease_ms=100)
    await enqueue(store, entry("b", priority=255))
    clock.now += 99
    expect(await claim_ids(store), [])
    expect(await claim_ids(store, mailbox_id="box"), [])
    expect(await store.mailboxes.claim_entry("b", consumer="w"), None)


@checks.add(Guarantee.ONE_HOLDER)
async def the_first_in_line_is_claimed_when_a_lease_expires(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"))
    await claim_one(store, lease_ms=100)
    await enqueue(store, entry("b", priority=1))
    clock.now += 100
    expect(await claim_ids(store), ["b"])
    expect(await status(store, "a"), "claimed")
    clock.now += 30_000
    await store.mailboxes.cancel("b")
    expect(await claim_ids(store), ["a"])


@checks.add(Guarantee.ONE_HOLDER)
async def the_first_in_line_of_two_expired_claims_is_claimed(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"))
    await claim_one(store, lease_ms=100)
    await enqueue(store, entry("b", priority=1))
    clock.now += 100
    await claim_one(store, lease_ms=100)
    clock.now += 100
    expect(await claim_ids(store), ["b"])
    expect(await claim_ids(store), [])


@checks.add(Guarantee.ONE_HOLDER, each={"by another": "two", "by the same": "one"})
async def an_entry_with_an_expired_lease_is_claimed_again_as_another_attempt(
    store: Store, clock: ManualClock, consumer: str
) -> None:
    await enqueue(store, entry("e"))
    first = await claim_one(store, consumer="one", lease_ms=100)
    clock.now += 99
    expect(await claim_ids(store), [])
    clock.now += 1
    second = await claim_one(store, consumer=consumer)
    expect((second.entry_id, second.claimed_by, second.attempt_count), ("e", consumer, 2))
    expect(second, await loaded(store))
    assert second.claim_token != first.claim_token


@checks.add(Guarantee.ONE_HOLDER)
async def a_lease_of_no_time_expires_at_once(store: Store) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=0)
    expect(await claim_ids(store), ["e"])


@checks.add(Guarantee.ONE_HOLDER)
async def a_live_lease_in_one_mailbox_does_not_block_another(store: Store) -> None:
    await enqueue(store, entry("a", "box a"), entry("b", "box b"))
    await claim_one(store, "box a")
    expect(await claim_ids(store), ["b"])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_from_one_mailbox_takes_nothing_from_others(store: Store) -> None:
    await enqueue(store, entry("a", "box a", priority=9), entry("b", "box b"))
    expect(await claim_ids(store, mailbox_id="box b"), ["b"])
    expect(await claim_ids(store, mailbox_id="box b"), [])
    expect(await claim_ids(store, mailbox_id="nobody's"), [])


@checks.add(Guarantee.ONE_HOLDER, each=SETTLE)
async def a_settled_claim_frees_its_mailbox(store: Store, settle: Settle) -> None:
    await enqueue(store, entry("e"), entry("next", created_at=1))
    claimed = await claim_one(store)
    await settle(store, claimed.entry_id, str(claimed.claim_token))
    expect(len(await claim_ids(store)), 1)


@checks.add(Guarantee.ONE_HOLDER, each=["cancel", "interrupt"])
async def ending_a_claimed_entry_frees_its_mailbox(store: Store, how: str) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store)
    if how == "cancel":
        await store.mailboxes.cancel("e")
    else:
        await store.mailboxes.interrupt("box")
    sent = (await store.mailboxes.send("box", None)).entry
    expect(await claim_ids(store), [sent.entry_id])


@checks.add(Guarantee.ONE_HOLDER)
async def claims_at_the_same_moment_never_share_an_entry(store: Store) -> None:
    for number in range(5):
        await enqueue(store, entry(f"e{number}", f"box {number}"))
    claims = await asyncio.gather(
        *(store.mailboxes.claim(2, consumer=f"w{number}") for number in range(8))
    )
    taken = [each.entry_id for claimed in claims for each in claimed]
    expect(sorted(taken), [f"e{number}" for number in range(5)])


# --- when it is due -----------------------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def an_entry_is_claimed_when_it_is_due_and_not_before(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", None, delay_ms=100)
    clock.now += 99
    expect(await claim_ids(store), [])
    clock.now += 1
    expect(len(await claim_ids(store)), 1)


@checks.add(Guarantee.ONE_HOLDER)
async def an_entry_that_is_not_due_does_not_block_others_of_its_mailbox(store: Store) -> None:
    await store.mailboxes.send("box", None, delay_ms=100, priority=9)
    sent = (await store.mailboxes.send("box", None)).entry
    expect(await claim_ids(store), [sent.entry_id])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_by_id_ignores_when_the_entry_is_due(store: Store, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("box", None, delay_ms=10**6)).entry
    clock.now += 7
    claimed = await claim_by_id(store, sent.entry_id, consumer="w", lease_ms=5)
    expect(claimed, await loaded(store, sent.entry_id))
    expect((claimed.status, claimed.claimed_by, claimed.attempt_count), ("claimed", "w", 1))
    expect((claimed.lease_until, claimed.updated_at), (clock.now + 5, clock.now))
    expect(uuid.UUID(claimed.claim_token).version, 4)


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_by_id_takes_that_entry_and_not_the_first_in_line(store: Store) -> None:
    await enqueue(store, entry("best", priority=9), entry("e"))
    expect((await claim_by_id(store, "e")).entry_id, "e")
    expect(await status(store, "best"), "queued")


@checks.add(Guarantee.ONE_HOLDER, each=["ack", "cancel"])
async def a_claim_by_id_takes_no_entry_that_has_ended(store: Store, ended: str) -> None:
    await enqueue(store, entry("e"))
    if ended == "ack":
        await store.mailboxes.ack(await claim_one(store))
    else:
        await store.mailboxes.cancel("e")
    before = await read_everything(store, ["box"])
    expect(await store.mailboxes.claim_entry("e", consumer="w"), None)
    expect(await read_everything(store, ["box"]), before)


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_by_id_takes_a_claimed_entry_once_its_lease_has_expired(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=100)
    expect(await store.mailboxes.claim_entry("e", consumer="two"), None)
    clock.now += 100
    again = await claim_by_id(store, "e", consumer="two")
    expect((again.claimed_by, again.attempt_count), ("two", 2))


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_by_id_takes_another_entry_once_the_lease_in_its_mailbox_has_expired(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a", priority=1), entry("b"))
    first = await claim_one(store, lease_ms=100)
    clock.now += 100
    await claim_by_id(store, "b")
    expect(await loaded(store, "a"), first)
    expect(await claim_ids(store), [])


# --- clocks that jump ---------------------------------------------------------------------------


@checks.add(Guarantee.ONE_HOLDER)
async def a_lease_stays_as_it_is_when_the_clock_is_set_back(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e", available_at=clock.now))
    claimed = await claim_one(store, lease_ms=100)
    clock.now -= 60_000
    expect(await claim_ids(store), [])
    expect(await store.mailboxes.load_entry("e"), claimed)
    clock.now += 60_100
    expect(await claim_ids(store), ["e"])


@checks.add(Guarantee.ONE_HOLDER)
async def entries_that_were_due_wait_again_when_the_clock_is_set_back(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e", available_at=clock.now), entry("held", "other"))
    await claim_one(store, "other", lease_ms=100)
    clock.now += 100
    expect(await claim_ids(store, 0), [])  # both are due by now
    clock.now -= 101
    expect(await claim_ids(store), [])
    clock.now += 1
    expect(await claim_ids(store), ["e"])
    clock.now += 100
    expect(await claim_ids(store), ["held"])


@checks.add(Guarantee.ONE_HOLDER)
async def leases_expire_when_the_clock_jumps_past_their_end(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("short"), entry("long", "other"))
    await claim_one(store, lease_ms=100)
    await claim_one(store, "other", lease_ms=10**12)
    clock.now += 10**11
    expect(await claim_ids(store), ["short"])


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_sent_after_the_clock_is_set_back_is_due_by_that_clock(
    store: Store, clock: ManualClock
) -> None:
    clock.now -= 10**9
    sent = (await store.mailboxes.send("box", None, delay_ms=50)).entry
    expect(sent.available_at, clock.now + 50)
    expect(await claim_ids(store), [])
    clock.now += 50
    expect(await claim_ids(store), [sent.entry_id])
