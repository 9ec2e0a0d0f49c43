"""Settlements: how a claim ends, and how it is kept."""

from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

from msgspec.structs import replace

from treadle import ClaimConflict, NotFound, Store
from treadle.backends.base import Guarantee
from treadle.testing.builders import claim_ids, claim_one, enqueue, entry, loaded, status
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.check import Facet
from treadle.testing.contents import read_everything
from treadle.testing.expect import expect, refused

facet = Facet("mailboxes")


Settle = Callable[[Store, str, str], Awaitable[Any]]
SETTLE: dict[str, Settle] = {
    "ack": lambda store, key, token: store.mailboxes.ack(key, token),
    "nack": lambda store, key, token: store.mailboxes.nack(key, token, error="no"),
    "dead_letter": lambda store, key, token: store.mailboxes.dead_letter(key, token, error="no"),
    "release": lambda store, key, token: store.mailboxes.release(key, token),
}


# --- how it ends --------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_acked_entry_is_accepted(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", last_error="before"))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.ack(claimed)
    expect(
        await store.mailboxes.load("e"),
        entry("e", status="accepted", attempt_count=1, last_error="before", updated_at=clock.now),
    )


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_nacked_entry_is_queued_until_its_retry_with_the_error(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), retry_at=clock.now + 50, error="boom")
    expect(
        await store.mailboxes.load("e"),
        entry(
            "e",
            available_at=clock.now + 50,
            attempt_count=1,
            last_error="boom",
            updated_at=clock.now,
        ),
    )
    expect(await claim_ids(store), [])
    clock.now += 50
    expect((await claim_one(store)).attempt_count, 2)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_nack_without_a_time_is_retried_at_once(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), error="boom")
    found = await loaded(store)
    expect(found.available_at, clock.now)
    expect(await claim_ids(store), ["e"])


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_dead_letter_keeps_its_error(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.dead_letter(await claim_one(store), error="never")
    expect(
        await store.mailboxes.load("e"),
        entry("e", status="dead_letter", attempt_count=1, last_error="never", updated_at=clock.now),
    )


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=[0, 3])
async def a_release_gives_the_attempt_back_and_leaves_the_rest(
    store: Store, clock: ManualClock, attempts: int
) -> None:
    await enqueue(store, entry("e", attempt_count=attempts, last_error="before", available_at=5))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.release(claimed)
    expect(
        await store.mailboxes.load("e"),
        entry(
            "e",
            attempt_count=attempts,
            last_error="before",
            available_at=5,
            updated_at=clock.now,
        ),
    )


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def a_claim_is_settled_by_the_entry_s_id_and_token(store: Store, settle: Settle) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store)
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def settling_needs_an_entry(store: Store, settle: Settle) -> None:
    with refused(NotFound) as caught:
        await settle(store, "e", "token")
    expect((caught.value.kind, caught.value.key), ("mailbox entry", "e"))


LOST = ("wrong token", "queued", "settled", "cancelled", "taken")


@facet.check(
    Guarantee.ENTRIES_MOVE_BY_RULE,
    each={f"{name}, {lost}": (SETTLE[name], lost) for name, lost in product(SETTLE, LOST)},
)
async def settling_needs_the_token_of_the_claim(
    store: Store, clock: ManualClock, settle: Settle, lost: str
) -> None:
    await enqueue(store, entry("e"))
    token = "wrong"
    if lost != "queued":
        token = str((await claim_one(store, lease_ms=100)).claim_token)
    if lost == "wrong token":
        token = token[::-1]
    elif lost == "settled":
        await store.mailboxes.ack("e", token)
    elif lost == "cancelled":
        await store.mailboxes.cancel("e")
    elif lost == "taken":
        clock.now += 100
        await claim_one(store, consumer="another")
    before = await read_everything(store, ["box"])
    with refused(ClaimConflict) as caught:
        await settle(store, "e", token)
    expect(caught.value.entry_id, "e")
    expect(await read_everything(store, ["box"]), before)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def a_claim_whose_lease_ran_out_is_settled_if_nobody_took_it(
    store: Store, clock: ManualClock, settle: Settle
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 1_000
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


# --- leases -------------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_extended_lease_runs_from_now_on(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 60
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=100), True)
    found = await loaded(store)
    expect((found.lease_until, found.updated_at), (clock.now + 100, clock.now))
    expect((found.claim_token, found.attempt_count), (claimed.claim_token, 1))
    clock.now += 99
    expect(await claim_ids(store), [])
    clock.now += 1
    expect(await claim_ids(store), ["e"])


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_lease_can_be_made_shorter(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=10_000)
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=0), True)
    expect(await claim_ids(store), ["e"])


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def extending_a_lease_leaves_the_rest(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", priority=3, payload=[1], last_error="before", created_at=5))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.extend_lease(claimed, extension_ms=100)
    expected = replace(claimed, lease_until=clock.now + 100, updated_at=clock.now)
    expect(await loaded(store), expected)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_lease_that_ran_out_is_extended_if_nobody_took_it(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 200
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=100), True)
    expect(await claim_ids(store), [])


@facet.check(Guarantee.ONE_HOLDER)
async def a_lease_that_ran_out_is_not_extended_beside_a_live_one(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("first"))
    late = await claim_one(store, lease_ms=100)
    await enqueue(store, entry("second", priority=9))
    clock.now += 100
    holder = await claim_one(store, lease_ms=1_000)
    expect(holder.entry_id, "second")
    expect(await store.mailboxes.extend_lease(late, extension_ms=1_000), False)
    expect((await loaded(store, "first")).lease_until, late.lease_until)
    with refused(ClaimConflict):
        async with store.batch() as step:
            step.mailboxes.hold(late)
    expect(await store.mailboxes.extend_lease(holder, extension_ms=1_000), True)


@facet.check(Guarantee.ONE_HOLDER)
async def a_lease_that_ran_out_stays_out_when_the_clock_goes_back(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("first"))
    late = await claim_one(store, lease_ms=100)
    await enqueue(store, entry("second", priority=9))
    clock.now += 110
    holder = await claim_one(store, lease_ms=1_000)
    clock.now -= 20
    expect(await store.mailboxes.extend_lease(late, extension_ms=5_000), False)
    expect(await store.mailboxes.extend_lease(holder, extension_ms=5_000), True)


@facet.check(
    Guarantee.ENTRIES_MOVE_BY_RULE,
    each=["no entry", "wrong token", "settled", "interrupted", "taken"],
)
async def a_lease_is_not_extended_when_the_claim_is_lost(
    store: Store, clock: ManualClock, lost: str
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    key, token = claimed.entry_id, str(claimed.claim_token)
    if lost == "no entry":
        key = "another"
    elif lost == "wrong token":
        token = "wrong"
    elif lost == "settled":
        await store.mailboxes.release(claimed)
    elif lost == "interrupted":
        await store.mailboxes.interrupt("box")
    else:
        clock.now += 100
        await claim_one(store, consumer="another")
    before = await read_everything(store, ["box"])
    expect(await store.mailboxes.extend_lease(key, token), False)
    expect(await read_everything(store, ["box"]), before)
