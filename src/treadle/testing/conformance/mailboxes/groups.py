"""Groups of entries: what they wait for, how many there are, their errors and their holders."""

from typing import Any

from treadle import Consumer, Consumers, EntryGroup, ErrorGroup, ErrorGroups, GroupCounts, Store
from treadle.backends.base import Guarantee
from treadle.core.commands import AnyCommand
from treadle.core.entry_groups import GROUPS
from treadle.core.mailbox_queries import EntryKey
from treadle.core.mailboxes import EntryStatus, MailboxEntry
from treadle.core.restoring import RestoreEntry
from treadle.testing._harness.builders import claim_one, enqueue, entry
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

NEWEST_FIRST: dict[EntryGroup, str] = {
    "due": "hgba",
    "scheduled": "dc",
    "retrying": "fe",
    "paused": "hfd",
    "claimed": "i",
    "dead": "lk",
    "ended": "onm",
}
LATEST_FIRST: dict[EntryGroup, str] = {"due": "agbh", "scheduled": "cd", "retrying": "fe"}


def _ended(entry_id: str, status: EntryStatus, mailbox_id: str = "box") -> MailboxEntry:
    return entry(
        entry_id, mailbox_id, status=status, created_at=ord(entry_id), updated_at=ord(entry_id)
    )


async def _fill(store: Store, now: int) -> None:
    """Fill two mailboxes, of which "still" is paused, with entries in the order of their ids."""

    def waiting(entry_id: str, due: int, mailbox_id: str = "box", **fields: Any) -> MailboxEntry:
        return entry(
            entry_id, mailbox_id, available_at=now + due, created_at=ord(entry_id), **fields
        )

    entries = (
        waiting("a", 60_000, turn=now + 60_000),  # sent by a clock that is ahead
        waiting("b", -5),
        waiting("c", 10),
        waiting("d", 5, "still"),
        waiting("e", 7, attempt_count=1),
        waiting("f", 8, "still", attempt_count=3, turn=now - 1),
        waiting("g", 0, attempt_count=1),
        waiting("h", -9, "still", turn=now),
        _ended("k", "dead_letter"),
        _ended("l", "dead_letter", "still"),
        _ended("m", "accepted"),
        _ended("n", "cancelled", "still"),
        _ended("o", "superseded"),
        entry(
            "i",
            status="claimed",
            claim_token="i",
            claimed_by="w",
            lease_until=now,
            created_at=ord("i"),
        ),
    )
    restored: list[AnyCommand] = [RestoreEntry(entry=each) for each in entries]
    await store.commit(tuple(restored))
    await store.mailboxes.pause("still")
    await store.mailboxes.pause("over", until=now + 1)


async def _ids(store: Store, **arguments: Any) -> str:
    """The ids of all pages, one after the other."""
    found: list[MailboxEntry] = []
    page = await store.mailboxes.search_entries(**arguments)
    while True:
        found += page.items
        if page.next_cursor is None:
            return "".join(each.entry_id for each in found)
        page = await store.mailboxes.search_entries(**arguments, after=page.next_cursor)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=GROUPS)
async def a_group_is_listed_in_pages_of_any_size(
    store: Store, clock: ManualClock, group: EntryGroup
) -> None:
    await _fill(store, clock.now)
    orders: dict[EntryKey, str] = {"created_at": NEWEST_FIRST[group]}
    if group in LATEST_FIRST:
        orders["available_at"] = LATEST_FIRST[group]
    for by, ids in orders.items():
        for limit in (1, 2, 200):
            about: dict[str, Any] = {"by": by, "limit": limit, "group": group}
            expect(await _ids(store, **about), ids)
            expect(await _ids(store, order="asc", **about), ids[::-1])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=GROUPS)
async def a_group_is_listed_of_one_mailbox(
    store: Store, clock: ManualClock, group: EntryGroup
) -> None:
    await _fill(store, clock.now)
    still = set("dfhln")
    orders: dict[EntryKey, str] = {"created_at": NEWEST_FIRST[group]}
    if group in LATEST_FIRST:
        orders["available_at"] = LATEST_FIRST[group]
    for by, ids in orders.items():
        found = await _ids(store, by=by, group=group, mailbox_id="still", limit=1)
        expect(found, "".join(each for each in ids if each in still))
        found = await _ids(store, by=by, group=group, mailbox_id="box", limit=1)
        expect(found, "".join(each for each in ids if each not in still))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def groups_and_the_other_filters_hold_together(store: Store, clock: ManualClock) -> None:
    await _fill(store, clock.now)
    await enqueue(store, entry("p", sender_id="ann", created_at=999, last_error="no"))
    for group in ("due", None):
        expect(await _ids(store, group=group, sender_id="ann"), "p")
        expect(await _ids(store, group=group, by="available_at", sender_id="ann"), "p")
        found = await _ids(store, group=group, by="available_at", sender_id="ann", mailbox_id="box")
        expect(found, "p")
    expect(await _ids(store, group="due", error="o", since=999), "p")
    expect(await _ids(store, group="due", since=1_000), "")
    expect(await _ids(store, group="due", statuses=["claimed"]), "")
    expect(await _ids(store, group="ended", statuses=["accepted", "dead_letter"]), "m")
    expect(await _ids(store, group="dead", claimed_by="w"), "")
    expect(await _ids(store, group="paused", origin="internal"), "")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_group_follows_the_time(store: Store, clock: ManualClock) -> None:
    await _fill(store, clock.now)
    now = clock.now
    expect(await _ids(store, group="scheduled", by="available_at", now=now + 5), "c")
    expect(await _ids(store, group="due", by="available_at", order="asc", now=now - 6), "ha")
    clock.now += 10
    expect(await _ids(store, group="scheduled"), "")
    expect(await _ids(store, group="retrying"), "")
    expect(await _ids(store, group="due"), "hgfedcba")
    await store.mailboxes.pause("box", until=clock.now + 1)
    expect(await _ids(store, group="paused"), "hgfedcba")
    clock.now += 1
    expect(await _ids(store, group="paused"), "hfd")
    expect(await _ids(store, group="paused", now=clock.now - 1), "hgfedcba")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def groups_are_counted_in_one_mailbox_or_in_all(store: Store, clock: ManualClock) -> None:
    expect(await store.mailboxes.count_groups(), GroupCounts(at=clock.now))
    expect(await store.mailboxes.count_groups("box"), GroupCounts(at=clock.now))
    await _fill(store, clock.now)
    counts: dict[str, Any] = {group: len(ids) for group, ids in NEWEST_FIRST.items()}
    expect(await store.mailboxes.count_groups(), GroupCounts(at=clock.now, **counts))
    of_box = GroupCounts(
        at=clock.now, due=3, scheduled=1, retrying=1, paused=0, claimed=1, dead=1, ended=2
    )
    expect(await store.mailboxes.count_groups("box"), of_box)
    of_still = GroupCounts(at=clock.now, due=1, scheduled=1, retrying=1, paused=3, dead=1, ended=1)
    expect(await store.mailboxes.count_groups("still"), of_still)
    later = await store.mailboxes.count_groups(now=clock.now + 10)
    expect((later.at, later.due, later.scheduled, later.retrying), (clock.now + 10, 8, 0, 0))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_count_of_groups_stops_at_its_limit(store: Store, clock: ManualClock) -> None:
    await _fill(store, clock.now)
    counts: dict[str, Any] = {group: min(len(ids), 2) for group, ids in NEWEST_FIRST.items()}
    more: tuple[EntryGroup, ...] = ("due", "scheduled", "retrying", "paused", "dead", "ended")
    counted = await store.mailboxes.count_groups(limit=2)
    expect(counted, GroupCounts(at=clock.now, more=more, **counts))
    # The oldest two that wait are "a" and "b", and the newest two of all "o" and "m".
    counted = await store.mailboxes.count_groups("box", limit=2)
    more = ("due", "scheduled", "retrying", "paused", "ended")
    expect(counted, GroupCounts(at=clock.now, due=2, claimed=1, dead=1, ended=2, more=more))
    expect((await store.mailboxes.count_groups(limit=-1)).due, 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def errors_are_those_of_the_newest_dead_letters(store: Store) -> None:
    expect(await store.mailboxes.errors(), ErrorGroups())
    errors = ("é \U0001f9f5", "b", "b", 'a "\n', None, "b")
    restored: list[AnyCommand] = [
        RestoreEntry(
            entry=entry(
                f"e{number}",
                f"box {number % 2}",
                status="dead_letter",
                last_error=error,
                created_at=number,
                updated_at=number + 10,
            )
        )
        for number, error in enumerate(errors)
    ]
    await store.commit(tuple(restored))
    await enqueue(store, entry("waits", last_error="b"), entry("cancelled", last_error="c"))
    await store.mailboxes.cancel("cancelled")
    b = ErrorGroup(error="b", count=3, last_at=15)
    a = ErrorGroup(error='a "\n', count=1, last_at=13)
    expect(
        (await store.mailboxes.errors()).items,
        (b, a, ErrorGroup(error=errors[0] or "", count=1, last_at=10)),
    )
    found = await store.mailboxes.errors(limit=4)
    expect(found, ErrorGroups(items=(replace_count(b, 2), a), looked_at=4, more=True))
    found = await store.mailboxes.errors("box 1")
    expect(found, ErrorGroups(items=(replace_count(b, 2), a), looked_at=3))
    expect(await store.mailboxes.errors("none"), ErrorGroups())


def replace_count(group: ErrorGroup, count: int) -> ErrorGroup:
    """The same error, of another number of entries."""
    return ErrorGroup(error=group.error, count=count, last_at=group.last_at)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def consumers_are_those_who_hold_entries(store: Store, clock: ManualClock) -> None:
    expect(await store.mailboxes.consumers(), Consumers(at=clock.now))
    for number, (consumer, lease_ms) in enumerate((("é", 9), ("é", 5), ("w", 7), ("gone", 1))):
        await store.mailboxes.send(f"box {number}", number)
        held = await claim_one(store, f"box {number}", consumer=consumer, lease_ms=lease_ms)
        if consumer == "gone":
            await store.mailboxes.ack(held)
        clock.now += 1
    expected = (
        Consumer(name="é", claims=2, mailboxes=2, expired=0, lease_until=clock.now + 2),
        Consumer(name="w", claims=1, mailboxes=1, expired=0, lease_until=clock.now + 5),
    )
    found = await store.mailboxes.consumers()
    expect(found, Consumers(at=clock.now, items=expected, looked_at=3))
    newest = await store.mailboxes.consumers(limit=1, now=clock.now + 5)
    of_w = Consumer(name="w", claims=1, mailboxes=1, expired=1, lease_until=clock.now + 5)
    expect(newest, Consumers(at=clock.now + 5, items=(of_w,), looked_at=1, more=True))
