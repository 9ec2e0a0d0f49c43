"""Summaries of mailboxes: counts, what is due, and who holds them, in pages by cursors."""

from typing import Any

from treadle import InvalidValue, MailboxState, MailboxStats, MailboxSummary, Store
from treadle.backends.base import Guarantee
from treadle.core.commands import AnyCommand
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_queries import MailboxKey
from treadle.core.pages import Order
from treadle.core.restoring import RestoreEntry, RestoreMailbox
from treadle.testing._harness.builders import claim_one, enqueue, entry
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

TIMES = {"a": 5, "b": 4, "c": 4, "🧵": 0, "\ufb00": LARGEST_TIME}
ORDERS: dict[MailboxKey, str] = {"id": "abc\ufb00🧵", "updated_at": "🧵bca\ufb00"}


async def _ids(store: Store, **arguments: Any) -> str:
    """The ids of all pages, one after the other."""
    found: list[MailboxSummary] = []
    page = await store.mailboxes.list_summaries(**arguments)
    while True:
        found += page.items
        if page.next_cursor is None:
            return "".join(each.state.mailbox_id for each in found)
        assert page.items, "a page has a cursor, and no items"
        page = await store.mailboxes.list_summaries(**arguments, after=page.next_cursor)


async def _only(store: Store) -> MailboxSummary:
    page = await store.mailboxes.list_summaries()
    expect((len(page.items), page.next_cursor), (1, None))
    return page.items[0]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=ORDERS)
async def summaries_are_listed_in_their_order_in_pages_of_any_size(
    store: Store, ordered: str
) -> None:
    states = [MailboxState(mailbox_id=key, updated_at=time) for key, time in TIMES.items()]
    restored: list[AnyCommand] = [RestoreMailbox(mailbox=state) for state in states]
    await store.commit(tuple(restored))
    by = next(key for key, ids in ORDERS.items() if ids == ordered)
    directions: dict[Order, str] = {"asc": ordered, "desc": ordered[::-1]}
    for order, ids in directions.items():
        for limit in (1, 2, 200):
            expect(await _ids(store, by=by, order=order, limit=limit), ids)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_summary_follows_what_is_in_its_mailbox(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.ensure("box")
    state = await store.mailboxes.load("box")
    assert state is not None
    expect(await _only(store), MailboxSummary(state=state))
    await enqueue(
        store,
        entry("a", priority=9, available_at=clock.now),
        entry("b", available_at=clock.now - 5),
        entry("c", available_at=clock.now + 5),
    )
    queued = MailboxSummary(state=state, counts=MailboxStats(queued=3), due_at=clock.now - 5)
    expect(await _only(store), queued)
    held = await claim_one(store, consumer="w", lease_ms=100)
    expect(held.entry_id, "a")
    claimed = MailboxSummary(
        state=state,
        counts=MailboxStats(queued=2, claimed=1),
        due_at=clock.now - 5,
        claimed_by="w",
        lease_until=clock.now + 100,
    )
    expect(await _only(store), claimed)
    await store.mailboxes.ack(held)
    await store.mailboxes.cancel("b")
    counts = MailboxStats(queued=1, accepted=1, cancelled=1)
    expect(await _only(store), MailboxSummary(state=state, counts=counts, due_at=clock.now + 5))
    await store.mailboxes.interrupt("box")
    after = await _only(store)
    expect((after.state.current_generation, after.due_at, after.counts.superseded), (1, None, 1))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_summary_names_the_holder_with_the_latest_lease(store: Store) -> None:
    leases: dict[str, int | None] = {"a": 7, "b": 9, "c": 8}
    for key, lease_until in leases.items():
        claimed = entry(
            key, status="claimed", claim_token=key, claimed_by=f"of {key}", lease_until=lease_until
        )
        await store.commit((RestoreEntry(entry=claimed),))
    await store.mailboxes.send("other", None)
    first, second = (await store.mailboxes.list_summaries()).items
    expect((first.claimed_by, first.lease_until, first.counts.claimed), ("of b", 9, 3))
    expect((second.claimed_by, second.counts), (None, MailboxStats(queued=1)))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_summary_counts_no_further_than_it_is_asked_to(store: Store, clock: ManualClock) -> None:
    for number in range(3):
        await enqueue(store, entry(f"a{number}", created_at=number, available_at=9 - number))
        await enqueue(store, entry(f"b{number}", "ended", created_at=number))
        await store.mailboxes.cancel(f"b{number}")
    await store.commit((RestoreEntry(entry=entry("b9", "ended", status="dead_letter")),))
    await enqueue(store, entry("c", "few"))
    box, ended, few = (await store.mailboxes.list_summaries(counted=2)).items
    expect((box.counts, box.due_at, box.more), (MailboxStats(queued=2), 8, True))
    expect((ended.counts, ended.more), (MailboxStats(cancelled=2, dead_letter=1), True))
    expect((few.counts, few.more), (MailboxStats(queued=1), False))
    box, *_ = (await store.mailboxes.list_summaries(counted=-1)).items
    expect((box.counts, box.due_at, box.more), (MailboxStats(queued=1), 9, True))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def what_is_no_cursor_of_the_summaries_is_refused(store: Store) -> None:
    for key in "ab":
        await store.mailboxes.ensure(key)
    by_time = await store.mailboxes.list_summaries(by="updated_at", limit=1)
    for cursor in ("", "x", by_time.next_cursor):
        with refused(InvalidValue) as caught:
            await store.mailboxes.list_summaries(after=cursor)
        expect(caught.value.where, "list_summaries.after")
