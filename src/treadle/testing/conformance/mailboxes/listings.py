"""Listings of entries and mailboxes: filters, order, pages and counts."""

from typing import Any, get_args

from treadle import MailboxState, MailboxStats, Store
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import EntryStatus
from treadle.testing._harness.builders import (
    TERMINAL,
    claim_by_id,
    claim_one,
    end,
    enqueue,
    entry,
    loaded,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


ENTRIES = (
    entry("b", created_at=20),
    entry("a", created_at=20, origin="internal"),
    entry("c", created_at=10, priority=9),
    entry("d", "other", created_at=5),
)
LISTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "oldest first, then by id": ({}, "dcab"),
    "of a mailbox": ({"mailbox_id": "box"}, "cab"),
    "in a status": ({"status": "cancelled"}, "a"),
    "not in that status": ({"status": "queued"}, "dcb"),
    "of an origin": ({"origin": "internal"}, "a"),
    "all at once": ({"mailbox_id": "box", "status": "queued", "origin": "external"}, "cb"),
    "nothing": ({"mailbox_id": "empty"}, ""),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=LISTINGS)
async def entries_are_listed(store: Store, query: dict[str, Any], expected: str) -> None:
    await enqueue(store, *ENTRIES)
    await store.mailboxes.cancel("a")
    page = await store.mailboxes.list_entries(**query)
    expect([each.entry_id for each in page.items], list(expected))
    expect(page.items, tuple([await loaded(store, key) for key in expected]))
    expect((page.total, page.has_more), (len(expected), False))


PAGES = [
    (0, 2, "dc", True),
    (2, 2, "ab", False),
    (3, 9, "b", False),
    (9, 2, "", False),
    (-1, 1, "d", True),
    (0, 0, "d", True),
    (0, LARGEST_TIME, "dcab", False),
    (LARGEST_TIME, 2, "", False),
]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_entries_has_the_total_and_says_if_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    await enqueue(store, *ENTRIES)
    page = await store.mailboxes.list_entries(offset=offset, limit=limit)
    found = "".join(each.entry_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_filtered_page_of_entries_has_the_total_of_its_filter(store: Store) -> None:
    await enqueue(store, *ENTRIES)
    for offset, expected, has_more in ((0, ["c", "a"], True), (2, ["b"], False)):
        page = await store.mailboxes.list_entries(mailbox_id="box", limit=2, offset=offset)
        expect([each.entry_id for each in page.items], expected)
        expect((page.total, page.has_more), (3, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def entries_of_one_time_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    await enqueue(store, *(entry(key) for key in ("b", "🧵", "a", "B", "\ufb00")))
    page = await store.mailboxes.list_entries()
    expect([each.entry_id for each in page.items], ["B", "a", "b", "\ufb00", "🧵"])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_entries_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.mailboxes.enqueue(entry(f"e{number:03}"))
    page = await store.mailboxes.list_entries(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_an_entry_through_its_statuses(store: Store) -> None:
    async def expect_listed(expected: EntryStatus) -> None:
        for each in get_args(EntryStatus):
            expect((await store.mailboxes.list_entries(status=each)).total, int(each == expected))
        counts: dict[str, Any] = {expected: 1}
        expect(await store.mailboxes.count_entries("box"), MailboxStats(**counts))

    await enqueue(store, entry("e"))
    await expect_listed("queued")
    claimed = await claim_one(store)
    await expect_listed("claimed")
    await store.mailboxes.nack(claimed)
    await expect_listed("queued")
    await store.mailboxes.dead_letter(await claim_one(store))
    await expect_listed("dead_letter")
    await store.mailboxes.requeue("e")
    await expect_listed("queued")
    await store.mailboxes.ack(await claim_one(store))
    await expect_listed("accepted")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def mailboxes_are_listed_in_the_order_of_their_ids(store: Store, clock: ManualClock) -> None:
    for key in ("b", "🧵", "a", "\ufb00"):
        await store.mailboxes.ensure(key)
    await store.mailboxes.send("B", None)
    page = await store.mailboxes.list()
    expect([state.mailbox_id for state in page.items], ["B", "a", "b", "\ufb00", "🧵"])
    expect((page.total, page.has_more), (5, False))
    now = clock.now
    expect(page.items[0], MailboxState(mailbox_id="B", updated_at=now, last_turn=now))


MAILBOX_PAGES = [
    (0, 2, "ab", True),
    (1, 2, "bc", True),
    (2, 2, "cd", False),
    (9, 2, "", False),
    (-1, 1, "a", True),
    (0, 0, "a", True),
    (0, LARGEST_TIME, "abcd", False),
    (LARGEST_TIME, 2, "", False),
]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=MAILBOX_PAGES)
async def a_page_of_mailboxes_has_the_total_and_says_if_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    for key in "dcba":
        await store.mailboxes.ensure(key)
    page = await store.mailboxes.list(offset=offset, limit=limit)
    found = "".join(each.mailbox_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_mailboxes_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.mailboxes.ensure(f"box {number:03}")
    page = await store.mailboxes.list(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def entries_are_counted_by_status_in_one_mailbox_or_in_all(store: Store) -> None:
    expect(await store.mailboxes.count_entries(), MailboxStats())
    for number, how in enumerate(("queued", "queued", "claimed", *TERMINAL)):
        await store.mailboxes.enqueue(entry(f"e{number}", f"box {number % 2}"))
        if how in TERMINAL:
            await end(store, f"e{number}", how)
    await claim_by_id(store, "e2")
    everywhere = MailboxStats(
        queued=2, claimed=1, accepted=1, superseded=1, cancelled=1, dead_letter=1
    )
    expect(await store.mailboxes.count_entries(), everywhere)
    expect(
        await store.mailboxes.count_entries("box 1"),
        MailboxStats(queued=1, accepted=1, cancelled=1),
    )
    expect(await store.mailboxes.count_entries("empty"), MailboxStats())
