"""Mailboxes: work is ended, requeued, purged, listed and counted."""

from typing import Any, get_args

from treadle import MailboxState, MailboxStats, Store
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_INTEGER
from treadle.core.mailboxes import EntryStatus
from treadle.testing.builders import (
    TERMINAL,
    claim_by_id,
    claim_ids,
    claim_one,
    end,
    enqueue,
    entry,
    generation,
    loaded,
    status,
)
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.check import Facet
from treadle.testing.contents import read_everything
from treadle.testing.expect import expect

facet = Facet("mailboxes")


# --- states -------------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def ensure_makes_the_state_once_and_touches_it_after(
    store: Store, clock: ManualClock
) -> None:
    first = await store.mailboxes.ensure("box")
    expect(first, MailboxState(mailbox_id="box", current_generation=0, updated_at=clock.now))
    await store.mailboxes.interrupt("box")
    clock.now += 5
    again = await store.mailboxes.ensure("box")
    expect(again, MailboxState(mailbox_id="box", current_generation=1, updated_at=clock.now))
    expect(await store.mailboxes.load_state("box"), again)


# --- cancel and supersede -----------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each={"queued": False, "claimed": True})
async def cancel_ends_an_entry_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    clock.now += 5
    found = await store.mailboxes.cancel("e")
    expect(
        found,
        entry(
            "e",
            status="cancelled",
            last_error="cancelled",
            attempt_count=int(claimed),
            updated_at=clock.now,
        ),
    )
    expect(await store.mailboxes.load("e"), found)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each={"queued": False, "claimed": True})
async def supersede_ends_an_entry_with_its_reason_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    found = await store.mailboxes.supersede("e", "newer")
    expect(
        found,
        entry(
            "e",
            status="superseded",
            last_error="newer",
            attempt_count=int(claimed),
            updated_at=clock.now,
        ),
    )


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=TERMINAL)
async def an_entry_that_has_ended_stays_as_it_is_and_is_returned(
    store: Store, clock: ManualClock, how: str
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await end(store, "e", how)
    before = await read_everything(store, ["box"])
    ended = await loaded(store)
    clock.now += 5
    expect(await store.mailboxes.cancel("e"), ended)
    expect(await store.mailboxes.supersede("e", "newer"), ended)
    expect(await store.mailboxes.cancel_pending("box"), ())
    expect(await read_everything(store, ["box"]), before)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def there_is_nothing_to_end_where_there_is_no_entry(store: Store) -> None:
    expect(await store.mailboxes.cancel("e"), None)
    expect(await store.mailboxes.supersede("e", "newer"), None)
    expect(await store.mailboxes.requeue("e"), None)
    expect(await store.mailboxes.cancel_pending("box"), ())
    expect(await store.mailboxes.load_state("box"), None)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def cancel_pending_cancels_what_has_not_ended_in_the_mailbox(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, *(entry(key) for key in ("c", "a", "b", "kept", "done")))
    await enqueue(store, entry("later", available_at=2**60), entry("elsewhere", "other"))
    await store.mailboxes.supersede("done", "newer")
    await claim_by_id(store, "b")
    clock.now += 5
    cancelled = await store.mailboxes.cancel_pending("box", exclude="kept")
    expect([each.entry_id for each in cancelled], ["a", "b", "c", "later"])
    for each in cancelled:
        expect(each, await store.mailboxes.load(each.entry_id))
        expect((each.status, each.last_error), ("cancelled", "cancelled"))
        expect((each.claim_token, each.claimed_by, each.lease_until), (None, None, None))
        expect(each.updated_at, clock.now)
    expect(await status(store, "kept"), "queued")
    expect(await status(store, "done"), "superseded")
    expect(await status(store, "elsewhere"), "queued")
    expect(await generation(store), 0)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=["none", "elsewhere"])
async def cancel_pending_cancels_all_where_it_excludes_what_is_not_there(
    store: Store, exclude: str
) -> None:
    await enqueue(store, entry("a"), entry("b"), entry("elsewhere", "other"))
    cancelled = await store.mailboxes.cancel_pending("box", exclude=exclude)
    expect([each.entry_id for each in cancelled], ["a", "b"])
    expect(await status(store, "elsewhere"), "queued")


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def cancel_pending_leaves_the_claimed_entry_that_it_excludes(store: Store) -> None:
    await enqueue(store, entry("held"), entry("next"))
    held = await claim_by_id(store, "held")
    cancelled = await store.mailboxes.cancel_pending("box", exclude="held")
    expect([each.entry_id for each in cancelled], ["next"])
    expect(await loaded(store, "held"), held)


# --- interrupt ----------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def interrupt_raises_the_generation_and_supersedes_what_is_older(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, *(entry(key) for key in ("b", "a", "held", "done")))
    await enqueue(store, entry("later", available_at=2**60), entry("elsewhere", "other"))
    await store.mailboxes.cancel("done")
    await claim_by_id(store, "held")
    clock.now += 5
    done = await store.mailboxes.interrupt("box")
    expect(
        done.mailbox_state,
        MailboxState(mailbox_id="box", current_generation=1, updated_at=clock.now),
    )
    expect([each.entry_id for each in done.superseded_entries], ["a", "b", "held", "later"])
    for each in done.superseded_entries:
        expect(each, await store.mailboxes.load(each.entry_id))
        expect((each.status, each.last_error), ("superseded", "superseded by interrupt"))
        expect((each.claim_token, each.claimed_by, each.lease_until), (None, None, None))
        expect(each.updated_at, clock.now)
    expect(await status(store, "done"), "cancelled")
    expect(await status(store, "elsewhere"), "queued")
    expect(await generation(store, "other"), 0)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def each_interrupt_raises_the_generation(store: Store) -> None:
    generations = [
        (await store.mailboxes.interrupt("box")).mailbox_state.current_generation for _ in range(3)
    ]
    expect(generations, [1, 2, 3])
    expect(await generation(store), 3)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def what_is_sent_after_an_interrupt_is_worked(store: Store) -> None:
    await store.mailboxes.send("box", "old")
    await store.mailboxes.interrupt("box")
    await store.mailboxes.send("box", "new")
    expect((await claim_one(store)).payload, "new")


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE, each=["interrupt", "cancel_pending"])
async def what_ends_a_mailbox_s_work_ends_what_its_own_batch_has_put_there(
    store: Store, how: str
) -> None:
    await enqueue(store, entry("before"))
    async with store.batch() as step:
        step.mailboxes.enqueue(entry("within"))
        getattr(step.mailboxes, how)("box")
        step.mailboxes.send("box", "after")
    expect((await status(store, "before")), await status(store, "within"))
    expect((await store.mailboxes.stats("box")).queued, 1)
    expect((await claim_one(store)).payload, "after")


# --- requeue ------------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_requeued_dead_letter_is_as_if_just_sent(store: Store, clock: ManualClock) -> None:
    sent = await store.mailboxes.send("box", "x", priority=3, dedupe_key="k")
    await store.mailboxes.dead_letter(await claim_one(store), error="no")
    await store.mailboxes.interrupt("box")
    clock.now += 1_000
    back = await store.mailboxes.requeue(sent.entry_id)
    expect(
        back,
        entry(
            sent.entry_id,
            payload="x",
            priority=3,
            dedupe_key="k",
            generation=1,
            last_error="no",
            available_at=clock.now,
            created_at=sent.created_at,
            updated_at=clock.now,
        ),
    )
    expect(await loaded(store, sent.entry_id), back)
    expect((await store.mailboxes.send("box", "y", dedupe_key="k")).entry_id, sent.entry_id)
    expect((await claim_one(store)).entry_id, sent.entry_id)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_requeued_dead_letter_waits_behind_who_is_held(store: Store) -> None:
    await enqueue(store, entry("e", priority=9), entry("next"))
    await store.mailboxes.dead_letter(await claim_one(store))
    held = await claim_one(store)
    await store.mailboxes.requeue("e")
    expect(await claim_ids(store), [])
    await store.mailboxes.ack(held)
    expect(await claim_ids(store), ["e"])


@facet.check(
    Guarantee.ENTRIES_MOVE_BY_RULE,
    each=["queued", "claimed", "accepted", "superseded", "cancelled"],
)
async def only_a_dead_letter_is_requeued(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if how == "claimed":
        await claim_one(store)
    elif how != "queued":
        await end(store, "e", how)
    before = await loaded(store)
    expect(await store.mailboxes.requeue("e"), before)
    expect(await store.mailboxes.load("e"), before)
    expect(before.status, how)


# --- purge --------------------------------------------------------------------------------------


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_removes_what_ended_before_a_time(store: Store, clock: ManualClock) -> None:
    for number, how in enumerate(TERMINAL):
        await store.mailboxes.enqueue(entry(how, f"box {number}"))
        await end(store, how, how)
        clock.now += 10
    expect(await store.mailboxes.purge(clock.now - 30), 1)
    expect(await store.mailboxes.load("accepted"), None)
    assert await store.mailboxes.load("superseded") is not None
    expect(await store.mailboxes.purge(clock.now), 3)
    expect((await store.mailboxes.list()).total, 0)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_leaves_what_has_not_ended(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("queued"), entry("claimed", "other"))
    await claim_by_id(store, "claimed")
    expect(await store.mailboxes.purge(clock.now + 10**9), 0)
    expect((await store.mailboxes.list()).total, 2)


@facet.check(Guarantee.ENTRIES_MOVE_BY_RULE)
async def purge_leaves_the_mailbox_s_state(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None)
    await store.mailboxes.interrupt("box")
    expect(await store.mailboxes.purge(clock.now + 1), 1)
    expect(await generation(store), 1)


@facet.check(Guarantee.WORK_COMES_IN_ONCE)
async def a_mailbox_forgets_the_dedupe_keys_and_ids_of_what_is_purged(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1, dedupe_key="k"))
    await end(store, "e", "accepted")
    await store.mailboxes.purge(clock.now + 1)
    await store.mailboxes.enqueue(entry("e", payload=2))
    again = await store.mailboxes.send("box", 3, dedupe_key="k")
    expect(again.payload, 3)
    expect((await loaded(store)).payload, 2)


# --- listings -----------------------------------------------------------------------------------

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


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE, each=LISTINGS)
async def entries_are_listed(store: Store, query: dict[str, Any], expected: str) -> None:
    await enqueue(store, *ENTRIES)
    await store.mailboxes.cancel("a")
    page = await store.mailboxes.list(**query)
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
    (0, LARGEST_INTEGER, "dcab", False),
    (LARGEST_INTEGER, 2, "", False),
]


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_entries_says_how_many_there_are_and_whether_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    await enqueue(store, *ENTRIES)
    page = await store.mailboxes.list(offset=offset, limit=limit)
    found = "".join(each.entry_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_some_entries_counts_those(store: Store) -> None:
    await enqueue(store, *ENTRIES)
    for offset, expected, has_more in ((0, ["c", "a"], True), (2, ["b"], False)):
        page = await store.mailboxes.list(mailbox_id="box", limit=2, offset=offset)
        expect([each.entry_id for each in page.items], expected)
        expect((page.total, page.has_more), (3, has_more))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def entries_as_old_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    await enqueue(store, *(entry(key) for key in ("b", "🧵", "a", "B", "\ufb00")))
    page = await store.mailboxes.list()
    expect([each.entry_id for each in page.items], ["B", "a", "b", "\ufb00", "🧵"])


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_entries_has_200_at_most(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.mailboxes.enqueue(entry(f"e{number:03}"))
    page = await store.mailboxes.list(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_an_entry_through_its_statuses(store: Store) -> None:
    async def expect_listed(expected: EntryStatus) -> None:
        for each in get_args(EntryStatus):
            expect((await store.mailboxes.list(status=each)).total, int(each == expected))
        counts: dict[str, Any] = {expected: 1}
        expect(await store.mailboxes.stats("box"), MailboxStats(**counts))

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


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def mailboxes_are_listed_in_the_order_of_their_ids(store: Store, clock: ManualClock) -> None:
    for key in ("b", "🧵", "a", "\ufb00"):
        await store.mailboxes.ensure(key)
    await store.mailboxes.send("B", None)
    page = await store.mailboxes.list_states()
    expect([state.mailbox_id for state in page.items], ["B", "a", "b", "\ufb00", "🧵"])
    expect((page.total, page.has_more), (5, False))
    expect(page.items[0], MailboxState(mailbox_id="B", updated_at=clock.now))


MAILBOX_PAGES = [
    (0, 2, "ab", True),
    (1, 2, "bc", True),
    (2, 2, "cd", False),
    (9, 2, "", False),
    (-1, 1, "a", True),
    (0, 0, "a", True),
    (0, LARGEST_INTEGER, "abcd", False),
    (LARGEST_INTEGER, 2, "", False),
]


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE, each=MAILBOX_PAGES)
async def a_page_of_mailboxes_says_how_many_there_are_and_whether_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    for key in "dcba":
        await store.mailboxes.ensure(key)
    page = await store.mailboxes.list_states(offset=offset, limit=limit)
    found = "".join(each.mailbox_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_mailboxes_has_200_at_most(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.mailboxes.ensure(f"box {number:03}")
    page = await store.mailboxes.list_states(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def stats_count_each_status_in_one_mailbox_or_in_all(store: Store) -> None:
    expect(await store.mailboxes.stats(), MailboxStats())
    for number, how in enumerate(("queued", "queued", "claimed", *TERMINAL)):
        await store.mailboxes.enqueue(entry(f"e{number}", f"box {number % 2}"))
        if how in TERMINAL:
            await end(store, f"e{number}", how)
    await claim_by_id(store, "e2")
    everywhere = MailboxStats(
        queued=2, claimed=1, accepted=1, superseded=1, cancelled=1, dead_letter=1
    )
    expect(await store.mailboxes.stats(), everywhere)
    expect(await store.mailboxes.stats("box 1"), MailboxStats(queued=1, accepted=1, cancelled=1))
    expect(await store.mailboxes.stats("empty"), MailboxStats())
