"""Mailboxes: work is sent, ended, requeued, purged, listed and counted."""

from typing import Any

import pytest

from tests.builders import claim_one, entry, status
from tests.clocks import ManualClock
from tests.documents import read_everything
from weft import (
    AlreadyExists,
    GenerationMismatch,
    MailboxEntry,
    MailboxState,
    MailboxStats,
    Store,
)

TERMINAL = ("accepted", "superseded", "cancelled", "dead_letter")


async def generation(store: Store, mailbox_id: str = "box") -> int | None:
    state = await store.mailboxes.load_state(mailbox_id)
    return None if state is None else state.current_generation


async def loaded(store: Store, entry_id: str = "e") -> MailboxEntry:
    found = await store.mailboxes.load(entry_id)
    assert found is not None
    return found


async def end(store: Store, entry_id: str, how: str) -> None:
    """Bring a queued entry to a terminal status."""
    if how == "cancelled":
        await store.mailboxes.cancel(entry_id)
    elif how == "superseded":
        await store.mailboxes.supersede(entry_id, "newer")
    else:
        claimed = await store.mailboxes.claim_entry(entry_id, consumer="w")
        assert claimed is not None
        if how == "accepted":
            await store.mailboxes.ack(claimed)
        else:
            await store.mailboxes.dead_letter(claimed, error="no")


# --- send ---------------------------------------------------------------------------------------


async def test_send_fills_in_id_generation_and_times(store: Store, clock: ManualClock) -> None:
    sent = await store.mailboxes.send(
        "box",
        {"a": [1.0]},
        priority=9,
        delay_ms=500,
        dedupe_key="k",
        sender_id="me",
        origin="internal",
    )
    assert sent == await store.mailboxes.load(sent.entry_id)
    assert sent == MailboxEntry(
        entry_id=sent.entry_id,
        mailbox_id="box",
        payload={"a": [1.0]},
        origin="internal",
        sender_id="me",
        priority=9,
        dedupe_key="k",
        available_at=clock.now + 500,
        created_at=clock.now,
        updated_at=clock.now,
    )


async def test_each_send_has_an_id_of_its_own_that_sorts_after_the_ones_before(
    store: Store,
) -> None:
    ids = [(await store.mailboxes.send("box", None)).entry_id for _ in range(5)]
    assert len(set(ids)) == 5
    assert [key[:8] for key in ids] == sorted(key[:8] for key in ids)


async def test_the_first_send_makes_the_mailbox_at_generation_0(
    store: Store, clock: ManualClock
) -> None:
    assert await store.mailboxes.load_state("box") is None
    await store.mailboxes.send("box", None)
    state = await store.mailboxes.load_state("box")
    assert state == MailboxState(mailbox_id="box", current_generation=0, updated_at=clock.now)


async def test_send_takes_the_current_generation(store: Store) -> None:
    await store.mailboxes.interrupt("box")
    await store.mailboxes.interrupt("box")
    assert (await store.mailboxes.send("box", None)).generation == 2


async def test_a_known_dedupe_key_gives_the_entry_that_is_there_and_writes_nothing(
    store: Store, clock: ManualClock
) -> None:
    first = await store.mailboxes.send("box", "first", dedupe_key="k", priority=1)
    before = await read_everything(store, ["box"])
    clock.now += 10
    assert await store.mailboxes.send("box", "second", dedupe_key="k", priority=2) == first
    assert await read_everything(store, ["box"]) == before


@pytest.mark.parametrize("how", TERMINAL)
async def test_a_dedupe_key_is_known_after_its_entry_has_ended(store: Store, how: str) -> None:
    first = await store.mailboxes.send("box", None, dedupe_key="k")
    await end(store, first.entry_id, how)
    again = await store.mailboxes.send("box", None, dedupe_key="k")
    assert (again.entry_id, again.status) == (first.entry_id, how)


async def test_a_dedupe_key_is_known_after_an_interrupt(store: Store) -> None:
    first = await store.mailboxes.send("box", None, dedupe_key="k")
    await store.mailboxes.interrupt("box")
    again = await store.mailboxes.send("box", None, dedupe_key="k")
    assert (again.entry_id, again.status) == (first.entry_id, "superseded")


async def test_each_mailbox_has_dedupe_keys_of_its_own(store: Store) -> None:
    one = await store.mailboxes.send("box", None, dedupe_key="k")
    other = await store.mailboxes.send("other", None, dedupe_key="k")
    assert one.entry_id != other.entry_id
    assert (await store.mailboxes.stats()).queued == 2


async def test_entries_without_a_dedupe_key_are_no_duplicates(store: Store) -> None:
    await store.mailboxes.send("box", None)
    await store.mailboxes.send("box", None)
    assert (await store.mailboxes.stats("box")).queued == 2


async def test_the_empty_dedupe_key_is_a_key(store: Store) -> None:
    first = await store.mailboxes.send("box", 1, dedupe_key="")
    assert await store.mailboxes.send("box", 2, dedupe_key="") == first


# --- enqueue ------------------------------------------------------------------------------------


async def test_enqueue_puts_the_entry_as_it_is(store: Store) -> None:
    given = entry(
        "e",
        payload=[None],
        priority=3,
        available_at=5,
        attempt_count=2,
        last_error="before",
        created_at=6,
        updated_at=7,
        extra={"later": True},
    )
    await store.mailboxes.enqueue(given)
    assert await store.mailboxes.load("e") == given


async def test_enqueue_makes_the_mailbox_at_the_entry_s_generation(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", generation=4, updated_at=9))
    state = await store.mailboxes.load_state("box")
    assert state == MailboxState(mailbox_id="box", current_generation=4, updated_at=9)


async def test_enqueue_refuses_a_known_entry_id_in_whatever_mailbox(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1))
    with pytest.raises(AlreadyExists) as caught:
        await store.mailboxes.enqueue(entry("e", "other"))
    assert caught.value.key == "e"
    assert (await loaded(store)).payload == 1
    assert await store.mailboxes.load_state("other") is None


async def test_enqueue_refuses_a_dedupe_key_the_mailbox_has_seen(store: Store) -> None:
    await store.mailboxes.enqueue(entry("e", dedupe_key="k"))
    with pytest.raises(AlreadyExists) as caught:
        await store.mailboxes.enqueue(entry("f", dedupe_key="k"))
    assert (caught.value.kind, caught.value.key) == ("dedupe key", "k")
    assert "'e'" in str(caught.value)
    assert await store.mailboxes.load("f") is None
    await store.mailboxes.enqueue(entry("f", "other", dedupe_key="k"))


@pytest.mark.parametrize("given", [0, 2, 7])
async def test_enqueue_refuses_another_generation_than_the_current(
    store: Store, given: int
) -> None:
    await store.mailboxes.interrupt("box")
    with pytest.raises(GenerationMismatch) as caught:
        await store.mailboxes.enqueue(entry("e", generation=given))
    error = caught.value
    assert (error.mailbox_id, error.expected, error.actual) == ("box", 1, given)
    assert await store.mailboxes.load("e") is None


# --- states -------------------------------------------------------------------------------------


async def test_ensure_makes_the_state_once_and_touches_it_after(
    store: Store, clock: ManualClock
) -> None:
    first = await store.mailboxes.ensure("box")
    assert first == MailboxState(mailbox_id="box", current_generation=0, updated_at=clock.now)
    await store.mailboxes.interrupt("box")
    clock.now += 5
    again = await store.mailboxes.ensure("box")
    assert again == MailboxState(mailbox_id="box", current_generation=1, updated_at=clock.now)
    assert await store.mailboxes.load_state("box") == again


# --- cancel and supersede -----------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [False, True], ids=["queued", "claimed"])
async def test_cancel_ends_an_entry_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    clock.now += 5
    found = await store.mailboxes.cancel("e")
    assert found == entry(
        "e",
        status="cancelled",
        last_error="cancelled",
        attempt_count=int(claimed),
        updated_at=clock.now,
    )
    assert await store.mailboxes.load("e") == found


@pytest.mark.parametrize("claimed", [False, True], ids=["queued", "claimed"])
async def test_supersede_ends_an_entry_with_its_reason_and_returns_it(
    store: Store, clock: ManualClock, claimed: bool
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if claimed:
        await claim_one(store)
    found = await store.mailboxes.supersede("e", "newer")
    assert found == entry(
        "e",
        status="superseded",
        last_error="newer",
        attempt_count=int(claimed),
        updated_at=clock.now,
    )


@pytest.mark.parametrize("how", TERMINAL)
async def test_an_entry_that_has_ended_stays_as_it_is_and_is_returned(
    store: Store, clock: ManualClock, how: str
) -> None:
    await store.mailboxes.enqueue(entry("e"))
    await end(store, "e", how)
    before = await read_everything(store, ["box"])
    ended = await loaded(store)
    clock.now += 5
    assert await store.mailboxes.cancel("e") == ended
    assert await store.mailboxes.supersede("e", "newer") == ended
    assert await store.mailboxes.cancel_pending("box") == ()
    assert await read_everything(store, ["box"]) == before


async def test_there_is_nothing_to_end_where_there_is_no_entry(store: Store) -> None:
    assert await store.mailboxes.cancel("e") is None
    assert await store.mailboxes.supersede("e", "newer") is None
    assert await store.mailboxes.requeue("e") is None
    assert await store.mailboxes.cancel_pending("box") == ()
    assert await store.mailboxes.load_state("box") is None


async def test_cancel_pending_cancels_what_has_not_ended_in_the_mailbox(store: Store) -> None:
    for key in ("c", "a", "b", "kept", "done"):
        await store.mailboxes.enqueue(entry(key))
    await store.mailboxes.enqueue(entry("elsewhere", "other"))
    await store.mailboxes.supersede("done", "newer")
    held = await store.mailboxes.claim_entry("b", consumer="w")
    assert held is not None
    cancelled = await store.mailboxes.cancel_pending("box", exclude="kept")
    assert [(each.entry_id, each.status) for each in cancelled] == [
        ("a", "cancelled"),
        ("b", "cancelled"),
        ("c", "cancelled"),
    ]
    assert await status(store, "kept") == "queued"
    assert await status(store, "done") == "superseded"
    assert await status(store, "elsewhere") == "queued"
    assert await generation(store) == 0


# --- interrupt ----------------------------------------------------------------------------------


async def test_interrupt_raises_the_generation_and_supersedes_what_is_older(
    store: Store, clock: ManualClock
) -> None:
    for key in ("b", "a", "held", "done"):
        await store.mailboxes.enqueue(entry(key))
    await store.mailboxes.enqueue(entry("elsewhere", "other"))
    await store.mailboxes.cancel("done")
    await store.mailboxes.claim_entry("held", consumer="w")
    clock.now += 5
    done = await store.mailboxes.interrupt("box")
    assert done.mailbox_state == MailboxState(
        mailbox_id="box", current_generation=1, updated_at=clock.now
    )
    assert [each.entry_id for each in done.superseded_entries] == ["a", "b", "held"]
    for each in done.superseded_entries:
        assert each == await store.mailboxes.load(each.entry_id)
        assert (each.status, each.last_error) == ("superseded", "superseded by interrupt")
        assert (each.claim_token, each.claimed_by, each.lease_until) == (None, None, None)
        assert each.updated_at == clock.now
    assert await status(store, "done") == "cancelled"
    assert await status(store, "elsewhere") == "queued"


async def test_each_interrupt_raises_the_generation(store: Store) -> None:
    generations = [
        (await store.mailboxes.interrupt("box")).mailbox_state.current_generation for _ in range(3)
    ]
    assert generations == [1, 2, 3]
    assert await generation(store) == 3


async def test_what_is_sent_after_an_interrupt_is_worked(store: Store) -> None:
    await store.mailboxes.send("box", "old")
    await store.mailboxes.interrupt("box")
    await store.mailboxes.send("box", "new")
    assert (await claim_one(store)).payload == "new"


# --- requeue ------------------------------------------------------------------------------------


async def test_a_requeued_dead_letter_is_as_if_just_sent(store: Store, clock: ManualClock) -> None:
    sent = await store.mailboxes.send("box", "x", priority=3, dedupe_key="k")
    await store.mailboxes.dead_letter(await claim_one(store), error="no")
    await store.mailboxes.interrupt("box")
    clock.now += 1_000
    back = await store.mailboxes.requeue(sent.entry_id)
    assert back is not None
    assert back == await store.mailboxes.load(sent.entry_id)
    assert (back.status, back.attempt_count, back.available_at) == ("queued", 0, clock.now)
    assert (back.generation, back.updated_at) == (1, clock.now)
    assert (back.payload, back.priority, back.dedupe_key) == ("x", 3, "k")
    assert back.created_at == sent.created_at
    assert (await claim_one(store)).entry_id == sent.entry_id


@pytest.mark.parametrize("how", ["queued", "claimed", "accepted", "superseded", "cancelled"])
async def test_only_a_dead_letter_is_requeued(store: Store, how: str) -> None:
    await store.mailboxes.enqueue(entry("e"))
    if how == "claimed":
        await claim_one(store)
    elif how != "queued":
        await end(store, "e", how)
    before = await loaded(store)
    assert await store.mailboxes.requeue("e") == before
    assert await store.mailboxes.load("e") == before
    assert before.status == how


# --- purge --------------------------------------------------------------------------------------


async def test_purge_removes_what_ended_before_a_time(store: Store, clock: ManualClock) -> None:
    for number, how in enumerate(TERMINAL):
        await store.mailboxes.enqueue(entry(how, f"box {number}"))
        await end(store, how, how)
        clock.now += 10
    assert await store.mailboxes.purge(clock.now - 30) == 1
    assert await store.mailboxes.load("accepted") is None
    assert await store.mailboxes.load("superseded") is not None
    assert await store.mailboxes.purge(clock.now) == 3
    assert (await store.mailboxes.list()).total == 0


async def test_purge_leaves_what_has_not_ended(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.enqueue(entry("queued"))
    await store.mailboxes.enqueue(entry("claimed", "other"))
    await store.mailboxes.claim_entry("claimed", consumer="w")
    assert await store.mailboxes.purge(clock.now + 10**9) == 0
    assert (await store.mailboxes.list()).total == 2


async def test_purge_leaves_the_mailbox_s_state(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None)
    await store.mailboxes.interrupt("box")
    assert await store.mailboxes.purge(clock.now + 1) == 1
    assert await generation(store) == 1


async def test_a_mailbox_forgets_the_dedupe_keys_and_ids_of_what_is_purged(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.enqueue(entry("e", payload=1, dedupe_key="k"))
    await end(store, "e", "accepted")
    await store.mailboxes.purge(clock.now + 1)
    await store.mailboxes.enqueue(entry("e", payload=2))
    again = await store.mailboxes.send("box", 3, dedupe_key="k")
    assert again.payload == 3
    assert (await loaded(store)).payload == 2


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


@pytest.mark.parametrize(("query", "expected"), LISTINGS.values(), ids=LISTINGS)
async def test_entries_are_listed(store: Store, query: dict[str, Any], expected: str) -> None:
    for each in ENTRIES:
        await store.mailboxes.enqueue(each)
    await store.mailboxes.cancel("a")
    page = await store.mailboxes.list(**query)
    assert [each.entry_id for each in page.items] == list(expected)
    assert (page.total, page.has_more) == (len(expected), False)


@pytest.mark.parametrize(
    ("offset", "limit", "items", "has_more"),
    [
        (0, 2, "dc", True),
        (2, 2, "ab", False),
        (3, 9, "b", False),
        (9, 2, "", False),
        (-1, 1, "d", True),
        (0, 0, "d", True),
        (0, 10**6, "dcab", False),
    ],
)
async def test_a_page_of_entries_says_how_many_there_are_and_whether_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    for each in ENTRIES:
        await store.mailboxes.enqueue(each)
    page = await store.mailboxes.list(offset=offset, limit=limit)
    found = "".join(each.entry_id for each in page.items)
    assert (found, page.total, page.has_more) == (items, 4, has_more)


async def test_stats_count_each_status_in_one_mailbox_or_in_all(store: Store) -> None:
    assert await store.mailboxes.stats() == MailboxStats()
    for number, how in enumerate(("queued", "queued", "claimed", *TERMINAL)):
        await store.mailboxes.enqueue(entry(f"e{number}", f"box {number % 2}"))
        if how in TERMINAL:
            await end(store, f"e{number}", how)
    held = await store.mailboxes.claim_entry("e2", consumer="w")
    assert held is not None
    everywhere = MailboxStats(
        queued=2, claimed=1, accepted=1, superseded=1, cancelled=1, dead_letter=1
    )
    assert await store.mailboxes.stats() == everywhere
    assert await store.mailboxes.stats("box 1") == MailboxStats(queued=1, accepted=1, cancelled=1)
    assert await store.mailboxes.stats("empty") == MailboxStats()
