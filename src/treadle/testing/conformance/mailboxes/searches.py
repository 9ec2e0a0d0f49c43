"""Searches for entries: orders, filters, and pages by cursors."""

from typing import Any

from treadle import InvalidValue, MailboxEntry, Store
from treadle.backends.base import Guarantee
from treadle.core.commands import AnyCommand
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_queries import EntryKey
from treadle.core.mailboxes import EntryStatus
from treadle.core.pages import Order
from treadle.core.restoring import RestoreEntry
from treadle.testing._harness.builders import claim_by_id, enqueue, entry, loaded
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


def _entry(
    entry_id: str, status: EntryStatus, created_at: int, mailbox_id: str = "box", **fields: Any
) -> MailboxEntry:
    if status == "claimed":
        fields = {"claim_token": entry_id, "lease_until": 9, "claimed_by": "w"} | fields
    return entry(entry_id, mailbox_id, status=status, created_at=created_at, **fields)


ENTRIES = (
    _entry("a", "queued", 5, available_at=7),
    _entry("b", "queued", 4, available_at=3, last_error='no "tea"\nat all', sender_id="ann"),
    _entry("c", "queued", 4, "other", available_at=7, origin="internal"),
    _entry("d", "claimed", 4),
    _entry("e", "claimed", 6, "other", claimed_by="v", last_error="no tea"),
    _entry("f", "accepted", 1, sender_id="ann"),
    _entry("g", "accepted", 9, "other"),
    _entry("h", "dead_letter", 4, last_error="tea: 500\n"),
    _entry("i", "dead_letter", 0, last_error="TEA"),
    _entry("j", "dead_letter", 8, "other", last_error="tea\\n", origin="internal"),
    _entry("k", "cancelled", 4, last_error="cancelled"),
    _entry("l", "superseded", 7, last_error=""),
    _entry("🧵", "cancelled", LARGEST_TIME, "other", last_error="🧵 é"),
    _entry("\ufb00", "superseded", 4, "other", sender_id=""),
)
OLDEST_FIRST = "ifbcdhk\ufb00aeljg🧵"
DUE_FIRST = "bac"


async def _fill(store: Store) -> None:
    restored: list[AnyCommand] = [RestoreEntry(entry=each) for each in ENTRIES]
    await store.commit(tuple(restored))


async def _ids(store: Store, **arguments: Any) -> str:
    """The ids of all pages, one after the other."""
    found: list[MailboxEntry] = []
    page = await store.mailboxes.search_entries(**arguments)
    while True:
        found += page.items
        if page.next_cursor is None:
            return "".join(each.entry_id for each in found)
        assert page.items, "a page has a cursor, and no items"
        page = await store.mailboxes.search_entries(**arguments, after=page.next_cursor)


ORDERS: dict[EntryKey, str] = {"created_at": OLDEST_FIRST, "available_at": DUE_FIRST}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=ORDERS)
async def entries_are_found_in_their_order_in_pages_of_any_size(store: Store, ordered: str) -> None:
    await _fill(store)
    by = next(key for key, ids in ORDERS.items() if ids == ordered)
    directions: dict[Order, str] = {"asc": ordered, "desc": ordered[::-1]}
    for order, ids in directions.items():
        for limit in (1, 2, 3, 8, 200):
            expect(await _ids(store, by=by, order=order, limit=limit), ids)


FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "a mailbox": ({"mailbox_id": "other"}, "cegj🧵\ufb00"),
    "no mailbox": ({"mailbox_id": "none"}, ""),
    "a status": ({"statuses": ["dead_letter"]}, "hij"),
    "two statuses": ({"statuses": ("queued", "dead_letter")}, "abchij"),
    "a status given twice": ({"statuses": ("queued", "queued")}, "abc"),
    "all but one": (
        {"statuses": {"queued", "claimed", "superseded", "cancelled", "dead_letter"}},
        "abcdehijkl🧵\ufb00",
    ),
    "no status": ({"statuses": ()}, ""),
    "what is not ended in a mailbox": (
        {"mailbox_id": "box", "statuses": ["claimed", "queued"]},
        "abd",
    ),
    "what is queued in a mailbox": ({"mailbox_id": "box", "statuses": ["queued"]}, "ab"),
    "what failed in a mailbox": ({"mailbox_id": "box", "statuses": ["dead_letter"]}, "hi"),
    "what ended in a mailbox": (
        {"mailbox_id": "other", "statuses": ["superseded", "accepted", "cancelled"]},
        "g🧵\ufb00",
    ),
    "an error": ({"error": "tea"}, "behj"),
    "an error and statuses": ({"error": "tea", "statuses": ["dead_letter", "claimed"]}, "ehj"),
    "any error": ({"error": ""}, "behijkl🧵"),
    "a line break in an error": ({"error": "\n"}, "bh"),
    "a letter that JSON uses in escapes": ({"error": "n"}, "bejk"),
    "quotes": ({"error": '"'}, "b"),
    "a backslash": ({"error": "\\"}, "j"),
    "a backslash and a letter": ({"error": "\\n"}, "j"),
    "a wildcard": ({"error": "%"}, ""),
    "beyond ASCII": ({"error": "🧵 é"}, "🧵"),
    "NUL": ({"error": "\x00"}, ""),
    "a holder": ({"claimed_by": "w"}, "d"),
    "a holder in a mailbox": ({"claimed_by": "v", "mailbox_id": "other"}, "e"),
    "a holder of what is queued": ({"claimed_by": "w", "statuses": ["queued"]}, ""),
    "nobody": ({"claimed_by": ""}, ""),
    "a sender": ({"sender_id": "ann"}, "bf"),
    "a sender without a name": ({"sender_id": ""}, "\ufb00"),
    "an origin": ({"origin": "internal"}, "cj"),
    "since a time": ({"since": 4}, "abcdeghjkl🧵\ufb00"),
    "since a time in a mailbox": ({"since": 9, "mailbox_id": "other"}, "g🧵"),
    "since a time in statuses": ({"since": 5, "statuses": ["queued", "dead_letter"]}, "aj"),
    "since the end of time": ({"since": LARGEST_TIME}, "🧵"),
    "all at once": (
        {
            "mailbox_id": "box",
            "statuses": ["queued"],
            "error": "tea",
            "sender_id": "ann",
            "origin": "external",
        },
        "b",
    ),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=FILTERS)
async def entries_are_filtered_in_every_order(
    store: Store, filters: dict[str, Any], ids: str
) -> None:
    await _fill(store)
    for by, ordered in ORDERS.items():
        expected = "".join(key for key in ordered if key in ids)
        for limit in (1, 50):
            expect(await _ids(store, by=by, order="asc", limit=limit, **filters), expected)
            expect(await _ids(store, by=by, limit=limit, **filters), expected[::-1])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_search_follows_an_entry_through_its_statuses(store: Store, clock: ManualClock) -> None:
    async def expect_found(status: EntryStatus, **more: Any) -> None:
        chosen: tuple[dict[str, Any], ...] = ({}, {"mailbox_id": "box"}, more)
        for filters in chosen:
            page = await store.mailboxes.search_entries(statuses=[status], **filters)
            expect(page.items, (await loaded(store),))
            expect(page.next_cursor, None)
        others = {"queued", "claimed", "dead_letter", "accepted", "cancelled"} - {status}
        expect(await _ids(store, statuses=others, mailbox_id="box"), "")

    await enqueue(store, entry("e"))
    await expect_found("queued", by="available_at")
    held = await claim_by_id(store, "e", consumer="w")
    await expect_found("claimed", claimed_by="w")
    await store.mailboxes.nack(held, retry_at=clock.now + 5, error="busy")
    await expect_found("queued", by="available_at", error="busy")
    await store.mailboxes.dead_letter(await claim_by_id(store, "e"), error="gone")
    await expect_found("dead_letter", error="on")
    await store.mailboxes.requeue("e")
    await expect_found("queued", by="available_at")
    await store.mailboxes.cancel("e")
    await expect_found("cancelled")
    await store.mailboxes.purge(clock.now + 1)
    expect(await _ids(store), "")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_found_entries_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.mailboxes.enqueue(entry(f"e{number:03}", created_at=number))
    page = await store.mailboxes.search_entries(limit=500)
    expect((len(page.items), page.next_cursor is None), (200, False))
    expect(page.items[0].entry_id, "e200")
    expect(len((await store.mailboxes.search_entries(limit=0)).items), 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_cursor_stays_good_when_its_entry_is_gone(store: Store) -> None:
    await _fill(store)
    first = await store.mailboxes.search_entries(statuses=["accepted"], limit=1)
    expect([each.entry_id for each in first.items], ["g"])
    await store.mailboxes.purge(LARGEST_TIME)
    await store.commit((RestoreEntry(entry=ENTRIES[5]),))
    rest = await store.mailboxes.search_entries(statuses=["accepted"], after=first.next_cursor)
    expect(rest.items, (ENTRIES[5],))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def what_is_no_cursor_of_the_search_is_refused(store: Store) -> None:
    await _fill(store)
    by_due = await store.mailboxes.search_entries(by="available_at", limit=1)
    for cursor in ("", "x", "é", by_due.next_cursor):
        with refused(InvalidValue) as caught:
            await store.mailboxes.search_entries(after=cursor)
        expect(caught.value.where, "search_entries.after")
