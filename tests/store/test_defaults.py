"""Defaults: what a method does where nothing else is said."""

from typing import Any

import pytest

from treadle import Sent, Store, Thread
from treadle.testing._harness.builders import claim_one, enqueue, entry, loaded, run, said
from treadle.testing.clock import ManualClock


async def test_a_claim_is_of_one_entry_and_for_30_seconds(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("a", "box a"), entry("b", "box b"))
    [claimed] = await store.mailboxes.claim(consumer="w")
    assert claimed.lease_until == clock.now + 30_000
    by_id = await store.mailboxes.claim_entry("b", consumer="w")
    assert by_id is not None
    assert by_id.lease_until == clock.now + 30_000


async def test_a_lease_is_extended_by_30_seconds(store: Store, clock: ManualClock) -> None:
    await enqueue(store, entry("e"))
    claimed = await claim_one(store, lease_ms=1)
    await store.mailboxes.extend_lease(claimed)
    assert (await loaded(store)).lease_until == clock.now + 30_000
    clock.now += 5
    async with store.batch() as step:
        step.mailboxes.extend_lease(claimed)
    assert (await loaded(store)).lease_until == clock.now + 30_000


async def test_what_is_sent_is_from_outside_due_at_once_and_not_urgent(
    store: Store, clock: ManualClock
) -> None:
    async with store.batch() as step:
        step.mailboxes.send("box", 1)
    assert step.receipt is not None
    for sent in (await store.mailboxes.send("box", 1), step.receipt.results[0]):
        assert isinstance(sent, Sent)
        entry = sent.entry
        assert (entry.origin, entry.available_at, entry.priority) == ("external", clock.now, 0)
        assert (entry.sender_id, entry.dedupe_key, sent.was_known) == (None, None, False)


@pytest.mark.parametrize(
    ("part", "listing"),
    [
        ("threads", "list"),
        ("runs", "list"),
        ("mailboxes", "list"),
        ("mailboxes", "list_entries"),
    ],
)
async def test_a_page_of_a_listing_holds_the_first_50(
    store: Store, part: str, listing: str
) -> None:
    async with store.batch() as step:
        for number in range(51):
            step.threads.create(Thread(id=f"t{number}"))
            step.runs.upsert(run(f"r{number}"))
            step.mailboxes.send(f"box {number}", None)
    page: Any = await getattr(getattr(store, part), listing)()
    assert (len(page.items), page.total, page.has_more) == (50, 51, True)
    everything: Any = await getattr(getattr(store, part), listing)(limit=200)
    assert page.items == everything.items[:50]


async def test_a_page_of_messages_holds_the_first_50_that_users_see(store: Store) -> None:
    hidden = said("hidden", visibility="internal")
    messages = (hidden, *(said(str(number)) for number in range(51)))
    await store.threads.create(Thread(id="t", messages=messages))
    page = await store.threads.list_messages("t")
    assert [each.cursor for each in page.messages] == list(range(1, 51))
    assert page.has_more
