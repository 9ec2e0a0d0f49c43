"""Claims and waits of mailboxes whose ids begin with something, and of all others."""

import asyncio
from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import claim_one, enqueue, entry
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.mailboxes.waits import LONG, SOON_SECONDS, begun, expect_rest

checks = Checks(__name__)

SEVERAL = 300
"""More mailboxes than a claim on a database looks at first."""


async def fill(store: Store, *mailboxes: str, **options: Any) -> None:
    """Send an entry to each mailbox; they are claimed in this order, as their ids say."""
    async with store.batch() as step:
        for number, mailbox_id in enumerate(mailboxes):
            step.mailboxes.send(mailbox_id, None, entry_id=f"{number:04} {mailbox_id}", **options)


async def claim_from(store: Store, limit: int = 10, **options: Any) -> list[str]:
    """The mailboxes from which a claim gets an entry."""
    claimed = await store.mailboxes.claim(limit, consumer="w", **options)
    return [each.mailbox_id for each in claimed]


@checks.add(
    Guarantee.ONE_HOLDER,
    each=[
        ({"mailbox_prefix": "b:"}, ["b:1", "b:", "b:2"]),
        ({"mailbox_prefix": ("b:", "a")}, ["b:1", "a:1", "b:", "a", "b:2"]),
        ({"except_prefix": "b:"}, ["b", "a:1", "c", "a", "\U0010ffff", "b;"]),
        ({"except_prefix": ("a", "b", "c")}, ["\U0010ffff"]),
        ({"mailbox_prefix": "b", "except_prefix": "b:"}, ["b", "b;"]),
        ({"mailbox_prefix": "B:"}, []),
        ({"mailbox_prefix": "b:3"}, []),
        ({"mailbox_prefix": "\U0010ffff"}, ["\U0010ffff"]),
        ({"mailbox_prefix": "b\U0010ffff"}, []),
        ({"mailbox_prefix": "'%_"}, []),
    ],
)
async def a_claim_is_of_mailboxes_with_the_prefix(store: Store, case: Any) -> None:
    options, wanted = case
    await fill(store, "b", "b:1", "a:1", "c", "b:", "a", "\U0010ffff", "b:2", "b;")
    expect(await claim_from(store, 20, **options), wanted)
    expect(await claim_from(store, 20, **options), [])
    rest = {"b", "b:1", "a:1", "c", "b:", "a", "\U0010ffff", "b:2", "b;"} - set(wanted)
    expect(set(await claim_from(store, 20)), rest)


@checks.add(Guarantee.ONE_HOLDER)
async def the_order_of_claims_is_that_of_all_mailboxes(store: Store, clock: ManualClock) -> None:
    await fill(store, "x:low", "y:low", priority=0)
    await fill(store, "x:1", "y:1", "x:2", "x:3", priority=2)
    await fill(store, "x:later", "y:later", priority=2, delay_ms=50)
    await fill(store, "x:first", "y:first", priority=200)
    expect(await claim_from(store, 2, mailbox_prefix="x:"), ["x:first", "x:1"])
    clock.now += 50
    expect(await claim_from(store, 9, mailbox_prefix="x:"), ["x:2", "x:3", "x:later", "x:low"])


@checks.add(Guarantee.ONE_HOLDER)
async def a_claim_gets_its_mailboxes_behind_many_others(store: Store) -> None:
    await fill(store, *(f"a:{number}" for number in range(SEVERAL)))
    await fill(store, *(f"b:{number}" for number in range(SEVERAL)))
    await fill(store, "c:1", "c:2")
    expect(await claim_from(store, 2, mailbox_prefix="c:"), ["c:1", "c:2"])
    expect(await claim_from(store, 2, mailbox_prefix="b:"), ["b:0", "b:1"])
    expect(await claim_from(store, 2, except_prefix="a:"), ["b:2", "b:3"])
    expect(await claim_from(store, 1, mailbox_prefix="a:"), ["a:0"])
    expect(await claim_from(store, 2, mailbox_prefix="d:"), [])
    wanted = [f"b:{number}" for number in range(4, SEVERAL)]
    expect(await claim_from(store, 2 * SEVERAL, mailbox_prefix="b:"), wanted)


@checks.add(Guarantee.ONE_HOLDER)
async def mailboxes_of_one_prefix_are_claimed_when_their_lease_expires(
    store: Store, clock: ManualClock
) -> None:
    await fill(store, "x:1", "y:1")
    expect(await claim_from(store, 2, lease_ms=50), ["x:1", "y:1"])
    expect(await claim_from(store, mailbox_prefix="y:"), [])
    clock.now += 50
    expect(await claim_from(store, mailbox_prefix="y:"), ["y:1"])
    expect(await claim_from(store, except_prefix="y:"), ["x:1"])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_paused_mailbox_gives_nothing_to_a_prefix(store: Store, clock: ManualClock) -> None:
    await fill(store, "x:1", "y:1")
    await store.mailboxes.pause("x:1", until=clock.now + 50)
    expect(await claim_from(store, mailbox_prefix="x:"), [])
    expect(await claim_from(store, mailbox_prefix="y:"), ["y:1"])
    clock.now += 50
    expect(await claim_from(store, mailbox_prefix="x:"), ["x:1"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_holds_back_its_mailbox_and_no_other(store: Store, clock: ManualClock) -> None:
    await fill(store, "x:1", "x:2")
    await enqueue(store, entry("behind", "x:1"))
    held = await claim_one(store, "x:1")
    await store.mailboxes.nack(held, retry_at=clock.now + 50, error="no", keep_order=True)
    expect(await claim_from(store, mailbox_prefix="x:"), ["x:2"])
    clock.now += 50
    expect(await claim_from(store, mailbox_prefix="x:"), ["x:1"])


@checks.add(Guarantee.WAITS_END)
async def a_wait_for_a_prefix_ends_for_its_mailboxes_only(store: Store, clock: ManualClock) -> None:
    await fill(store, "x:1")
    await with_timeout(store.mailboxes.wait(LONG, mailbox_prefix="x:"), SOON_SECONDS)
    await with_timeout(store.mailboxes.wait(LONG, except_prefix="y:"), SOON_SECONDS)
    await expect_rest(store, mailbox_prefix="y:")
    await expect_rest(store, except_prefix="x:")
    await claim_from(store, lease_ms=50)
    clock.now += 50
    await with_timeout(store.mailboxes.wait(LONG, mailbox_prefix="x:"), SOON_SECONDS)
    await expect_rest(store, mailbox_prefix="y:")


@checks.add(Guarantee.WAITS_END)
async def a_wait_for_a_prefix_rests_beside_many_others(store: Store) -> None:
    await fill(store, *(f"a:{number}" for number in range(SEVERAL)), "c:1")
    await fill(store, *(f"b:{number}" for number in range(SEVERAL)), delay_ms=LONG)
    await expect_rest(store, mailbox_prefix="b:")
    await expect_rest(store, mailbox_prefix="d:")
    await with_timeout(store.mailboxes.wait(LONG, mailbox_prefix="c:"), SOON_SECONDS)
    await with_timeout(store.mailboxes.wait(LONG, except_prefix="b:"), SOON_SECONDS)
    await claim_one(store, "b:7", now=2**50)
    await expect_rest(store, mailbox_prefix="b:")


@checks.add(Guarantee.WAITS_END)
async def a_send_to_the_prefix_ends_a_wait_for_it(store: Store) -> None:
    async def send_soon() -> None:
        await begun(store)
        await fill(store, "y:1")
        await begun(store)
        await fill(store, "x:1")

    wait = store.mailboxes.wait(LONG, mailbox_prefix="x:")
    await asyncio.gather(with_timeout(wait, SOON_SECONDS), send_soon())
