"""Settlements: a claim ends by ack, nack, dead letter or release."""

from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

from treadle import ClaimConflict, NotFound, Store
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
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


Settle = Callable[[Store, str, str], Awaitable[Any]]
SETTLE: dict[str, Settle] = {
    "ack": lambda store, key, token: store.mailboxes.ack(key, token),
    "nack": lambda store, key, token: store.mailboxes.nack(key, token, error="no"),
    "dead_letter": lambda store, key, token: store.mailboxes.dead_letter(key, token, error="no"),
    "release": lambda store, key, token: store.mailboxes.release(key, token),
}


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_acked_entry_is_accepted(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", last_error="before"))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.ack(claimed)
    expect(
        await store.mailboxes.load_entry("e"),
        entry("e", status="accepted", attempt_count=1, last_error="before", updated_at=clock.now),
    )


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_nacked_entry_is_queued_until_its_retry_with_the_error(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), retry_at=clock.now + 50, error="boom")
    expect(
        await store.mailboxes.load_entry("e"),
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


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_nack_without_a_time_allows_a_retry_at_once(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.nack(await claim_one(store), error="boom")
    found = await loaded(store)
    expect(found.available_at, clock.now)
    expect(await claim_ids(store), ["e"])


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_dead_letter_keeps_its_error(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    await store.mailboxes.dead_letter(await claim_one(store), error="never")
    expect(
        await store.mailboxes.load_entry("e"),
        entry("e", status="dead_letter", attempt_count=1, last_error="never", updated_at=clock.now),
    )


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=[0, 3])
async def a_release_gives_the_attempt_back_and_changes_nothing_else(
    store: Store, clock: ManualClock, attempts: int
) -> None:
    await enqueue(store, entry("e", attempt_count=attempts, last_error="before", available_at=5))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.release(claimed)
    expect(
        await store.mailboxes.load_entry("e"),
        entry(
            "e",
            attempt_count=attempts,
            last_error="before",
            available_at=5,
            updated_at=clock.now,
        ),
    )


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def a_claim_is_settled_by_the_entry_s_id_and_token(store: Store, settle: Settle) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store)
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def settling_a_missing_entry_is_not_found(store: Store, settle: Settle) -> None:
    with refused(NotFound) as caught:
        await settle(store, "e", "token")
    expect((caught.value.kind, caught.value.key), ("mailbox entry", "e"))


LOST = ("wrong token", "queued", "settled", "cancelled", "taken")


@checks.add(
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


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=SETTLE)
async def a_claim_with_an_expired_lease_can_be_settled_until_the_entry_is_claimed_again(
    store: Store, clock: ManualClock, settle: Settle
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 1_000
    await settle(store, "e", str(claimed.claim_token))
    assert await status(store, "e") != "claimed"


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each=["retried", "given up"])
async def a_traceback_is_kept_beside_its_error_and_goes_with_it(store: Store, end: str) -> None:
    trace = 'Traceback:\n  File "agent.py", line 1\nKeyError: \x00 \U0001f9f5'
    await enqueue(store, entry("e"))
    claimed = await claim_one(store)
    if end == "retried":
        await store.mailboxes.nack(claimed, error="KeyError", traceback=trace)
    else:
        await store.mailboxes.dead_letter(claimed, error="KeyError", traceback=trace)
        await store.mailboxes.requeue("e")
    found = await loaded(store)
    expect((found.last_error, found.last_traceback), ("KeyError", trace))
    again = await claim_one(store)
    expect((again.last_error, again.last_traceback), ("KeyError", trace))
    page = await store.mailboxes.search_entries(error="Key")
    expect([each.last_traceback for each in page.items], [trace])
    await store.mailboxes.nack(again, error="busy")
    found = await loaded(store)
    expect((found.last_error, found.last_traceback), ("busy", None))
    await store.mailboxes.nack(await claim_one(store), error="KeyError", traceback=trace)
    await store.mailboxes.cancel("e")
    expect((await loaded(store)).last_traceback, None)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE, each={"passes": False, "keeps its order": True})
async def a_release_until_a_time_counts_as_no_attempt(
    store: Store, clock: ManualClock, keep_order: bool
) -> None:
    await store.mailboxes.send("box", 1, entry_id="e")
    await store.mailboxes.send("box", 2, entry_id="behind")
    for _ in range(2):
        held = await claim_by_id(store, "e")
        due = clock.now + 1_000
        await store.mailboxes.release(held, retry_at=due, error="busy", keep_order=keep_order)
        found = await loaded(store, "e")
        expect((found.status, found.attempt_count), ("queued", 0))
        expect((found.available_at, found.last_error), (due, "busy"))
        claimed = await store.mailboxes.claim(mailbox_id="box", consumer="w")
        expect([each.entry_id for each in claimed], [] if keep_order else ["behind"])
        for each in claimed:
            await store.mailboxes.release(each)
        clock.now = due
