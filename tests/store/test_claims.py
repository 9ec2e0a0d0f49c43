"""Claims: who gets which entry, for how long, and how a claim ends."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.builders import claim_one, entry, status
from tests.clocks import ManualClock
from tests.documents import read_everything
from weft import ClaimConflict, MailboxEntry, NotFound, Store

Settle = Callable[[Store, str, str], Awaitable[Any]]
SETTLE: dict[str, Settle] = {
    "ack": lambda store, key, token: store.mailboxes.ack(key, token),
    "nack": lambda store, key, token: store.mailboxes.nack(key, token, error="no"),
    "dead_letter": lambda store, key, token: store.mailboxes.dead_letter(key, token, error="no"),
    "release": lambda store, key, token: store.mailboxes.release(key, token),
}
each_settlement = pytest.mark.parametrize("settle", SETTLE.values(), ids=SETTLE)


async def claim_ids(store: Store, limit: int = 10, **options: Any) -> list[str]:
    options = {"consumer": "worker"} | options
    return [each.entry_id for each in await store.mailboxes.claim(limit, **options)]


async def enqueue(store: Store, *entries: MailboxEntry) -> None:
    for each in entries:
        await store.mailboxes.enqueue(each)


# --- what a claim does --------------------------------------------------------------------------


async def test_a_claim_sets_token_consumer_lease_and_counts_the_attempt(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e", attempt_count=2, last_error="before", extra={"later": 1}))
    clock.now += 7
    (claimed,) = await store.mailboxes.claim(consumer="w", lease_ms=500)
    assert claimed == await store.mailboxes.load("e")
    assert claimed == entry(
        "e",
        status="claimed",
        claim_token=claimed.claim_token,
        claimed_by="w",
        lease_until=clock.now + 500,
        attempt_count=3,
        last_error="before",
        updated_at=clock.now,
        extra={"later": 1},
    )
    assert uuid.UUID(claimed.claim_token).version == 4


async def test_every_claim_has_a_token_of_its_own(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("a", "box a"), entry("b", "box b"))
    tokens = []
    for _ in range(3):
        claimed = await store.mailboxes.claim(2, consumer="w", lease_ms=10)
        tokens += [each.claim_token for each in claimed]
        clock.now += 10
    assert len(set(tokens)) == 6


async def test_there_is_nothing_to_claim_in_an_empty_store(store: Store) -> None:
    assert await store.mailboxes.claim(consumer="w") == ()
    assert await store.mailboxes.claim_entry("e", consumer="w") is None


# --- the order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": 1, "available_at": 9, "created_at": 9}, {}),
        ({"priority": 255, "available_at": 9}, {"priority": 254}),
        ({"available_at": 1, "created_at": 9}, {"available_at": 2}),
        ({"created_at": 1}, {"created_at": 2}),
        ({}, {}),
    ],
    ids=["priority", "highest priority", "longest due", "oldest", "entry id"],
)
@pytest.mark.parametrize("mailbox_ids", [("box", "box"), ("box", "other")], ids=["one", "two"])
async def test_what_is_claimed_first_is_decided_by(
    store: Store, first: dict[str, Any], second: dict[str, Any], mailbox_ids: tuple[str, str]
) -> None:
    if first:
        await enqueue(store, entry("a", mailbox_ids[0], **second))
        await enqueue(store, entry("b", mailbox_ids[1], **first))
        assert await claim_ids(store, 1) == ["b"]
    else:
        await enqueue(store, entry("b", mailbox_ids[0]), entry("a", mailbox_ids[1]))
        assert await claim_ids(store, 1) == ["a"]


async def test_a_claim_of_several_returns_them_in_that_order(store: Store) -> None:
    await enqueue(
        store,
        entry("low", "box 1"),
        entry("high", "box 2", priority=2),
        entry("old", "box 3", available_at=0, created_at=0),
        entry("new", "box 4", created_at=5),
    )
    assert await claim_ids(store) == ["high", "low", "old", "new"]


# --- one holder for each mailbox ----------------------------------------------------------------


async def test_a_claim_takes_one_entry_from_each_mailbox_and_no_more_than_its_limit(
    store: Store,
) -> None:
    for key in ("a", "b", "c"):
        await enqueue(store, entry(f"{key}1", key), entry(f"{key}2", key))
    assert await claim_ids(store, 2) == ["a1", "b1"]
    assert await claim_ids(store) == ["c1"]
    assert await claim_ids(store) == []


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_claim_of_none_takes_none(store: Store, limit: int) -> None:
    await enqueue(store, entry("e"))
    assert await claim_ids(store, limit) == []
    assert await status(store, "e") == "queued"


async def test_a_mailbox_with_a_live_lease_gives_nothing_however_urgent(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"))
    await claim_one(store, lease_ms=100)
    await enqueue(store, entry("b", priority=255))
    clock.now += 99
    assert await claim_ids(store) == []
    assert await claim_ids(store, mailbox_id="box") == []
    assert await store.mailboxes.claim_entry("b", consumer="w") is None


async def test_when_a_lease_runs_out_the_best_of_the_mailbox_is_claimed(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"))
    await claim_one(store, lease_ms=100)
    await enqueue(store, entry("b", priority=1))
    clock.now += 100
    assert await claim_ids(store) == ["b"]
    assert await status(store, "a") == "claimed"
    clock.now += 30_000
    await store.mailboxes.cancel("b")
    assert await claim_ids(store) == ["a"]


async def test_an_entry_whose_lease_ran_out_is_claimed_again_as_another_attempt(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    first = await claim_one(store, consumer="one", lease_ms=100)
    clock.now += 99
    assert await claim_ids(store) == []
    clock.now += 1
    second = await claim_one(store, consumer="two")
    assert (second.entry_id, second.claimed_by, second.attempt_count) == ("e", "two", 2)
    assert second.claim_token != first.claim_token


async def test_a_lease_of_no_time_has_run_out_at_once(store: Store) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=0)
    assert await claim_ids(store) == ["e"]


async def test_a_live_lease_in_one_mailbox_is_nothing_to_another(store: Store) -> None:
    await enqueue(store, entry("a", "box a"), entry("b", "box b"))
    await claim_one(store, "box a")
    assert await claim_ids(store) == ["b"]


async def test_a_claim_from_one_mailbox_takes_nothing_of_others(store: Store) -> None:
    await enqueue(store, entry("a", "box a", priority=9), entry("b", "box b"))
    assert await claim_ids(store, mailbox_id="box b") == ["b"]
    assert await claim_ids(store, mailbox_id="box b") == []
    assert await claim_ids(store, mailbox_id="nobody's") == []


@each_settlement
async def test_a_settled_claim_frees_its_mailbox(store: Store, settle: Settle) -> None:
    await enqueue(store, entry("e"), entry("next", created_at=1))
    claimed = await claim_one(store)
    await settle(store, claimed.entry_id, str(claimed.claim_token))
    assert len(await claim_ids(store)) == 1


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
async def test_a_claimed_entry_that_is_ended_frees_its_mailbox(store: Store, how: str) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store)
    if how == "cancel":
        await store.mailboxes.cancel("e")
    else:
        await store.mailboxes.interrupt("box")
    sent = await store.mailboxes.send("box", None)
    assert await claim_ids(store) == [sent.entry_id]


async def test_of_claims_at_the_same_moment_each_entry_goes_to_one(store: Store) -> None:
    for number in range(5):
        await enqueue(store, entry(f"e{number}", f"box {number}"))
    claims = await asyncio.gather(
        *(store.mailboxes.claim(2, consumer=f"w{number}") for number in range(8))
    )
    taken = [each.entry_id for claimed in claims for each in claimed]
    assert sorted(taken) == [f"e{number}" for number in range(5)]


# --- when it is due -----------------------------------------------------------------------------


async def test_an_entry_is_claimed_when_it_is_due_and_not_before(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", None, delay_ms=100)
    clock.now += 99
    assert await claim_ids(store) == []
    clock.now += 1
    assert len(await claim_ids(store)) == 1


async def test_an_entry_that_is_not_due_lets_others_of_its_mailbox_pass(store: Store) -> None:
    await store.mailboxes.send("box", None, delay_ms=100, priority=9)
    sent = await store.mailboxes.send("box", None)
    assert await claim_ids(store) == [sent.entry_id]


async def test_a_claim_by_id_ignores_when_the_entry_is_due(store: Store) -> None:
    sent = await store.mailboxes.send("box", None, delay_ms=10**6)
    claimed = await store.mailboxes.claim_entry(sent.entry_id, consumer="w", lease_ms=5)
    assert claimed is not None
    assert (claimed.status, claimed.claimed_by) == ("claimed", "w")


async def test_a_claim_by_id_takes_that_entry_and_not_the_best(store: Store) -> None:
    await enqueue(store, entry("best", priority=9), entry("e"))
    claimed = await store.mailboxes.claim_entry("e", consumer="w")
    assert claimed is not None
    assert claimed.entry_id == "e"
    assert await status(store, "best") == "queued"


@pytest.mark.parametrize("ended", ["ack", "cancel"])
async def test_a_claim_by_id_takes_no_entry_that_has_ended(store: Store, ended: str) -> None:
    await enqueue(store, entry("e"))
    if ended == "ack":
        await store.mailboxes.ack(await claim_one(store))
    else:
        await store.mailboxes.cancel("e")
    before = await read_everything(store, ["box"])
    assert await store.mailboxes.claim_entry("e", consumer="w") is None
    assert await read_everything(store, ["box"]) == before


async def test_a_claim_by_id_takes_a_claimed_entry_once_its_lease_ran_out(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    await claim_one(store, lease_ms=100)
    assert await store.mailboxes.claim_entry("e", consumer="two") is None
    clock.now += 100
    again = await store.mailboxes.claim_entry("e", consumer="two")
    assert again is not None
    assert (again.claimed_by, again.attempt_count) == ("two", 2)


# --- how it ends --------------------------------------------------------------------------------


async def test_an_acked_entry_is_accepted(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", last_error="before"))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.ack(claimed)
    assert await store.mailboxes.load("e") == entry(
        "e", status="accepted", attempt_count=1, last_error="before", updated_at=clock.now
    )


async def test_a_nacked_entry_is_queued_until_its_retry_with_the_error(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), retry_at=clock.now + 50, error="boom")
    assert await store.mailboxes.load("e") == entry(
        "e",
        available_at=clock.now + 50,
        attempt_count=1,
        last_error="boom",
        updated_at=clock.now,
    )
    assert await claim_ids(store) == []
    clock.now += 50
    assert (await claim_one(store)).attempt_count == 2


async def test_a_nack_without_a_time_is_retried_at_once(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), error="boom")
    found = await store.mailboxes.load("e")
    assert found is not None
    assert found.available_at == clock.now
    assert await claim_ids(store) == ["e"]


async def test_a_dead_letter_keeps_its_error(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.dead_letter(await claim_one(store), error="never")
    assert await store.mailboxes.load("e") == entry(
        "e", status="dead_letter", attempt_count=1, last_error="never", updated_at=clock.now
    )


async def test_a_release_gives_the_attempt_back_and_leaves_the_rest(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e", attempt_count=3, last_error="before", available_at=5))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.release(claimed)
    assert await store.mailboxes.load("e") == entry(
        "e", attempt_count=3, last_error="before", available_at=5, updated_at=clock.now
    )


@each_settlement
async def test_a_claim_is_settled_by_the_entry_s_id_and_token(store: Store, settle: Settle) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store)
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


@each_settlement
async def test_settling_needs_an_entry(store: Store, settle: Settle) -> None:
    with pytest.raises(NotFound) as caught:
        await settle(store, "e", "token")
    assert (caught.value.kind, caught.value.key) == ("mailbox entry", "e")


@each_settlement
@pytest.mark.parametrize("lost", ["wrong token", "queued", "settled", "cancelled", "taken"])
async def test_settling_needs_the_token_of_the_claim(
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
    with pytest.raises(ClaimConflict) as caught:
        await settle(store, "e", token)
    assert caught.value.entry_id == "e"
    assert await read_everything(store, ["box"]) == before


@each_settlement
async def test_a_claim_whose_lease_ran_out_is_settled_if_nobody_took_it(
    store: Store, clock: ManualClock, settle: Settle
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 1_000
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


# --- leases -------------------------------------------------------------------------------------


async def test_an_extended_lease_runs_from_now_on(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 60
    assert await store.mailboxes.extend_lease(claimed, extension_ms=100) is True
    found = await store.mailboxes.load("e")
    assert found is not None
    assert (found.lease_until, found.updated_at) == (clock.now + 100, clock.now)
    assert (found.claim_token, found.attempt_count) == (claimed.claim_token, 1)
    clock.now += 99
    assert await claim_ids(store) == []
    clock.now += 1
    assert await claim_ids(store) == ["e"]


async def test_a_lease_can_be_made_shorter(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=10_000)
    assert await store.mailboxes.extend_lease(claimed, extension_ms=0) is True
    assert await claim_ids(store) == ["e"]


async def test_a_lease_that_ran_out_is_extended_if_nobody_took_it(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 200
    assert await store.mailboxes.extend_lease(claimed, extension_ms=100) is True
    assert await claim_ids(store) == []


@pytest.mark.parametrize("lost", ["no entry", "wrong token", "settled", "interrupted", "taken"])
async def test_a_lease_is_not_extended_when_the_claim_is_lost(
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
    assert await store.mailboxes.extend_lease(key, token) is False
    assert await read_everything(store, ["box"]) == before
