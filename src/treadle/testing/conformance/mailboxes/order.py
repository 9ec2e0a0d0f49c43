"""Order: what is sent to a mailbox is claimed in that order, and a retry may keep its order."""

from treadle import InvalidValue, Store
from treadle.backends.base import Guarantee
from treadle.commands import Send
from treadle.testing._harness.builders import (
    claim_by_id,
    claim_ids,
    claim_one,
    enqueue,
    entry,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

HOUR_MS = 3_600_000


async def work_off(store: Store, mailbox_id: str | None = None) -> list[object]:
    """Claim and ack until nothing is due; return the payloads in that order."""
    payloads: list[object] = []
    while claimed := await store.mailboxes.claim(consumer="w", mailbox_id=mailbox_id):
        payloads += [each.payload for each in claimed]
        await store.mailboxes.ack(claimed[0])
    return payloads


@checks.add(Guarantee.ORDER_IS_KEPT, each={"stands": 0, "goes on": 1, "goes back": -HOUR_MS})
async def entries_sent_one_after_the_other_are_claimed_in_that_order_though_the_clock(
    store: Store, clock: ManualClock, step: int
) -> None:
    for number in range(5):
        await store.mailboxes.send("box", number)
        clock.now += step
    expect(await work_off(store), [0, 1, 2, 3, 4])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_is_sent_without_a_delay_is_due_at_once_though_the_clock_goes_back(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", "now")
    await store.mailboxes.send("other", "now")
    await store.mailboxes.send("box", "later", delay_ms=100)
    clock.now -= HOUR_MS
    expect(await work_off(store), ["now", "now"])
    clock.now += HOUR_MS
    expect(await work_off(store), [])
    clock.now += 100
    expect(await work_off(store), ["later"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_is_due_in_the_meantime_does_not_hold_back_what_is_due_at_once(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", "one")
    clock.now -= HOUR_MS
    await store.mailboxes.send("box", "in a minute", delay_ms=60_000)
    await store.mailboxes.send("box", "two")
    expect(await work_off(store, "box"), ["one", "two"])
    clock.now += 60_000
    expect(await work_off(store, "box"), ["in a minute"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_is_due_at_a_time_waits_for_it_and_is_due_at_once_after_it(
    store: Store, clock: ManualClock
) -> None:
    at = clock.now + 100
    later = (await store.mailboxes.send("box", "at a time", due_at=at)).entry
    expect((later.available_at, later.turn), (at, None))
    await store.mailboxes.send("box", "long ago", due_at=clock.now - HOUR_MS)
    await store.mailboxes.send("box", "now", due_at=clock.now)
    await store.mailboxes.send("box", "at once")
    expect(await work_off(store, "box"), ["long ago", "now", "at once"])
    clock.now = at - 1
    expect(await work_off(store, "box"), [])
    clock.now = at
    expect(await work_off(store, "box"), ["at a time"])
    with refused(InvalidValue):
        await store.mailboxes.send("box", "both", due_at=at, delay_ms=1)


@checks.add(Guarantee.ORDER_IS_KEPT)
async def the_order_is_kept_within_a_batch_and_within_a_priority(
    store: Store, clock: ManualClock
) -> None:
    async with store.batch() as step:
        for number in range(4):
            step.mailboxes.send("box", number, priority=number % 2, now=clock.now - number)
    expect(await work_off(store), [1, 3, 0, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_released_entry_keeps_its_turn(store: Store, clock: ManualClock) -> None:
    for number in range(3):
        await store.mailboxes.send("box", number)
    claimed = await claim_one(store)
    clock.now -= HOUR_MS
    await store.mailboxes.release(claimed)
    expect(await work_off(store), [0, 1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_requeued_dead_letter_comes_after_what_was_sent(
    store: Store, clock: ManualClock
) -> None:
    for number in range(3):
        await store.mailboxes.send("box", number)
    dead = await claim_one(store)
    await store.mailboxes.dead_letter(dead, error="no")
    clock.now -= HOUR_MS
    await store.mailboxes.requeue(dead.entry_id)
    await store.mailboxes.send("box", 3)
    expect(await work_off(store), [1, 2, 0, 3])


# --- retries that keep their order --------------------------------------------------------------


async def fail_first(store: Store, clock: ManualClock) -> str:
    """Send entries 0 to 2, and let the first one wait 100 ms for its retry. Returns its id."""
    for number in range(3):
        await store.mailboxes.send("box", number, priority=5)
    failed = await claim_one(store)
    await store.mailboxes.nack(failed, retry_at=clock.now + 100, error="no", keep_order=True)
    return failed.entry_id


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_that_keeps_its_order_holds_back_what_is_behind_it(
    store: Store, clock: ManualClock
) -> None:
    failed = await fail_first(store, clock)
    await store.mailboxes.send("box", "lower", priority=4)
    await store.mailboxes.send("other", "elsewhere")
    expect(await work_off(store), ["elsewhere"])
    expect(await claim_ids(store, mailbox_id="box"), [])
    clock.now += 99
    expect(await claim_ids(store), [])
    clock.now += 1
    found = await claim_one(store)
    expect((found.entry_id, found.payload, found.attempt_count), (failed, 0, 2))
    await store.mailboxes.ack(found)
    expect(await work_off(store), [1, 2, "lower"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_is_more_urgent_is_claimed_before_a_retry_that_keeps_its_order(
    store: Store, clock: ManualClock
) -> None:
    await fail_first(store, clock)
    await store.mailboxes.send("box", "urgent", priority=6)
    expect(await work_off(store), ["urgent"])
    clock.now += 100
    expect(await work_off(store), [0, 1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_that_keeps_its_order_comes_first_however_long_others_were_due(
    store: Store, clock: ManualClock
) -> None:
    await enqueue(store, entry("due", priority=5, available_at=0, created_at=0))
    claimed = await claim_by_id(store, "due")
    await enqueue(store, entry("before", priority=5, available_at=0, created_at=0))
    await store.mailboxes.nack(claimed, retry_at=clock.now + 100, keep_order=True)
    expect(await claim_ids(store), [])
    clock.now += 100
    expect(await claim_ids(store), ["due"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def only_the_retry_itself_is_claimed_by_its_id(store: Store, clock: ManualClock) -> None:
    failed = await fail_first(store, clock)
    others = [e for e in (await store.mailboxes.list_entries()).items if e.entry_id != failed]
    urgent = (await store.mailboxes.send("box", "urgent", priority=6)).entry
    for other in others:
        expect(await store.mailboxes.claim_entry(other.entry_id, consumer="w"), None)
    for entry_id in (urgent.entry_id, failed):
        await store.mailboxes.ack(await claim_by_id(store, entry_id))
    expect(await work_off(store), [1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def attempts_are_counted_for_the_retry_alone(store: Store, clock: ManualClock) -> None:
    failed = await fail_first(store, clock)
    for _ in range(3):
        clock.now += 100
        again = await claim_one(store)
        expect(again.entry_id, failed)
        await store.mailboxes.nack(again, retry_at=clock.now + 100, keep_order=True)
    counts = {e.payload: e.attempt_count for e in (await store.mailboxes.list_entries()).items}
    expect(counts, {0: 4, 1: 0, 2: 0})


ENDS = ("cancelled", "superseded", "dead letter", "nacked without", "interrupted")


@checks.add(Guarantee.ORDER_IS_KEPT, each=ENDS)
async def what_was_held_back_is_claimed_once_the_retry_is(
    store: Store, clock: ManualClock, end: str
) -> None:
    failed = await fail_first(store, clock)
    expected: list[object] = [1, 2]
    match end:
        case "cancelled":
            await store.mailboxes.cancel(failed)
        case "superseded":
            await store.mailboxes.supersede(failed, "newer")
        case "interrupted":
            await store.mailboxes.interrupt("box")
            await store.mailboxes.send("box", "new")
            expected = ["new"]
        case _:
            claimed = await claim_by_id(store, failed)
            if end == "dead letter":
                await store.mailboxes.dead_letter(claimed, error="never")
            else:
                await store.mailboxes.nack(claimed, retry_at=clock.now + 100)
    expect(await work_off(store), expected)


@checks.add(Guarantee.ORDER_IS_KEPT)
async def retries_of_two_priorities_hold_back_each_what_is_behind_it(
    store: Store, clock: ManualClock
) -> None:
    await fail_first(store, clock)
    await store.mailboxes.send("box", "urgent", priority=6)
    urgent = await claim_one(store)
    await store.mailboxes.nack(urgent, retry_at=clock.now + 200, keep_order=True)
    clock.now += 100
    expect(await claim_ids(store), [])
    clock.now += 100
    expect(await work_off(store), ["urgent", 0, 1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_that_keeps_its_order_waits_though_the_clock_went_back(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", "one")
    await store.mailboxes.send("box", "two")
    clock.now -= HOUR_MS
    failed = await claim_one(store)
    await store.mailboxes.nack(failed, retry_at=clock.now + 100, keep_order=True)
    expect(await work_off(store), [])
    clock.now += 100
    expect(await work_off(store), ["one", "two"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_retry_without_order_lets_others_pass(store: Store, clock: ManualClock) -> None:
    for number in range(3):
        await store.mailboxes.send("box", number)
    await store.mailboxes.nack(await claim_one(store), retry_at=clock.now + 100)
    expect(await work_off(store), [1, 2])
    clock.now += 100
    expect(await work_off(store), [0])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def a_mailbox_remembers_the_last_turn_that_it_gave(store: Store, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("box", "one")).entry
    delayed = (await store.mailboxes.send("box", "two", delay_ms=1)).entry
    expect((sent.turn, delayed.turn), (clock.now, None))
    clock.now -= 10
    later = (await store.mailboxes.send("box", "three")).entry
    state = await store.mailboxes.load("box")
    assert state is not None
    expect(
        (later.turn, later.available_at, state.last_turn), (clock.now + 11, clock.now, later.turn)
    )


@checks.add(Guarantee.ORDER_IS_KEPT, each={"stands": 0, "goes on": 1, "goes back": -HOUR_MS})
async def what_follows_an_entry_comes_right_behind_it_though_the_clock(
    store: Store, clock: ManualClock, step: int
) -> None:
    sent: list[str] = []
    for number in range(3):
        sent.append((await store.mailboxes.send("box", number)).entry.entry_id)
        clock.now += step
    follow = Send(mailbox_id="box", entry_id="0 answer", payload="0, too", follows=sent[0])
    await store.commit((follow,))
    expect(await work_off(store), [0, "0, too", 1, 2])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_follows_an_entry_has_its_priority_and_its_delay(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", "urgent", priority=3, entry_id="urgent")
    await store.mailboxes.send("box", "urgent, later", priority=3)
    await store.mailboxes.send("box", "delayed", delay_ms=100, entry_id="delayed")
    clock.now += 1
    for first in ("urgent", "delayed"):
        name = f"behind {first}"
        follow = Send(mailbox_id="box", entry_id=name, payload=name, follows=first)
        await store.commit((follow,))
    await store.mailboxes.send("box", "plain")
    expect(await work_off(store), ["urgent", "behind urgent", "urgent, later", "plain"])
    clock.now += 99
    expect(await work_off(store), ["delayed", "behind delayed"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def the_holder_of_an_entry_takes_first_what_follows_it(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", "first", entry_id="first")
    await store.mailboxes.send("box", "second")
    failed = await claim_one(store)
    await store.mailboxes.nack(failed, retry_at=clock.now + 100, keep_order=True)
    clock.now += 100
    held = await claim_one(store)
    for number in (1, 2):
        name = f"answer {number}"
        clock.now += 1
        sent = Send(mailbox_id="box", entry_id=name, payload=name, follows="first")
        await store.commit((sent,))
    taken = await store.mailboxes.take(held, limit=3)
    expect([each.payload for each in taken], ["answer 1", "answer 2", "second"])
    for each in (held, *taken):
        await store.mailboxes.release(each)
    expect(await work_off(store), ["first", "answer 1", "answer 2", "second"])


@checks.add(Guarantee.ORDER_IS_KEPT)
async def what_follows_an_entry_that_has_ended_or_is_elsewhere_is_the_last(
    store: Store, clock: ManualClock
) -> None:
    for name in ("first", "second"):
        await store.mailboxes.send("box", name, entry_id=name)
    await store.mailboxes.send("other", "other", entry_id="other")
    await store.mailboxes.ack(await claim_by_id(store, "first"))
    for name in ("first", "other", "unknown"):
        sent = Send(mailbox_id="box", entry_id=f"to {name}", payload=f"to {name}", follows=name)
        await store.commit((sent,))
    expected = ["second", "to first", "to other", "to unknown"]
    expect(await work_off(store, "box"), expected)
