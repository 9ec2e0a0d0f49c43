"""Leases: a claim is extended, unless it is lost."""

from msgspec.structs import replace

from treadle import ClaimConflict, InvalidId, InvalidValue, MailboxEntry, Store
from treadle.backends.base import Guarantee
from treadle.core.mailbox_queries import CLAIMS, Claim
from treadle.testing._harness.builders import claim_ids, claim_one, enqueue, entry, loaded
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_extended_lease_runs_from_the_time_of_the_extension(
    store: Store, clock: ManualClock
) -> None:
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


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_lease_can_be_shortened(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=10_000)
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=0), True)
    expect(await claim_ids(store), ["e"])


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def extending_a_lease_changes_nothing_else(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e", priority=3, payload=[1], last_error="before", created_at=5))
    claimed = await claim_one(store)
    clock.now += 5
    await store.mailboxes.extend_lease(claimed, extension_ms=100)
    expected = replace(claimed, lease_until=clock.now + 100, updated_at=clock.now)
    expect(await loaded(store), expected)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_expired_lease_can_be_extended_until_the_entry_is_claimed_again(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=100)
    clock.now += 200
    expect(await store.mailboxes.extend_lease(claimed, extension_ms=100), True)
    expect(await claim_ids(store), [])


@checks.add(Guarantee.ONE_HOLDER)
async def an_expired_lease_is_not_extended_beside_a_live_one(
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


@checks.add(Guarantee.ONE_HOLDER)
async def an_expired_lease_stays_expired_when_the_clock_goes_back(
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


@checks.add(
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


@checks.add(Guarantee.ONE_HOLDER)
async def claims_say_who_holds_entries_in_the_order_of_their_ids(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("a"), entry("b", "other"), entry("waits", "third"))
    a = await claim_one(store, lease_ms=100)
    b = await claim_one(store, "other", consumer="w", lease_ms=1_000)
    ids = ["waits", "b", "no entry", "a", "b"]
    expect(await store.mailboxes.load_claims(ids), (None, of(b), None, of(a), of(b)))
    clock.now += 100
    expect(await store.mailboxes.load_claims(["a"]), (of(a),))
    again = await claim_one(store)
    assert again.claim_token != a.claim_token, "two claims have the same token"
    expect(await store.mailboxes.load_claims(["a"]), (of(again),))
    await store.mailboxes.release(again)
    await store.mailboxes.interrupt("other")
    expect(await store.mailboxes.load_claims(ids), (None,) * len(ids))
    expect(await store.mailboxes.load_claims([]), ())


def of(entry: MailboxEntry) -> Claim:
    """The claim of a claimed entry."""
    return Claim(
        claim_token=entry.claim_token, claimed_by=entry.claimed_by, lease_until=entry.lease_until
    )


@checks.add(Guarantee.ONE_HOLDER)
async def claims_of_many_entries_are_loaded_at_once(store: Store) -> None:
    await enqueue(store, entry("e"))
    held = of(await claim_one(store))
    ids = [f"no {number}" for number in range(CLAIMS)]
    expect(await store.mailboxes.load_claims([*ids[1:], "e"]), (*(None,) * (CLAIMS - 1), held))
    with refused(InvalidValue):
        await store.mailboxes.load_claims([*ids, "e"])
    with refused(InvalidId):
        await store.mailboxes.load_claims(["a/b"])
