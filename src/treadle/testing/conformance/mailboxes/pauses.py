"""Pauses: entries can be sent to a paused mailbox, and none can be claimed from it."""

from msgspec.structs import replace

from treadle import MailboxEntry, MailboxState, NotFound, RunMeta, Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.core.mailbox_pauses import Pause
from treadle.testing._harness.builders import claim_by_id, claim_ids, claim_one, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.mailboxes.waits import worker

checks = Checks(__name__)


async def claim_payloads(store: Store, mailbox_id: str | None = None) -> list[object]:
    """What a claim gets."""
    claimed = await store.mailboxes.claim(10, consumer="w", mailbox_id=mailbox_id)
    return [each.payload for each in claimed]


@checks.add(Guarantee.PAUSES_HOLD)
async def a_paused_mailbox_takes_sends_and_gives_nothing_until_it_is_resumed(
    store: Store, clock: ManualClock
) -> None:
    before = (await store.mailboxes.send("box", 1)).entry
    await store.mailboxes.pause("box")
    after = (await store.mailboxes.send("box", 2, priority=9)).entry
    await store.mailboxes.send("other", "elsewhere")
    clock.now += 10**9
    expect(await claim_payloads(store), ["elsewhere"])
    expect(await claim_payloads(store, "box"), [])
    for entry in (before, after):
        expect(await store.mailboxes.claim_entry(entry.entry_id, consumer="w"), None)
    await store.mailboxes.resume("box")
    expect(await claim_payloads(store, "box"), [2])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_pause_is_part_of_the_state(store: Store, clock: ManualClock) -> None:
    until, reason = clock.now + 5, "a question 🧵"
    paused = await store.mailboxes.pause("box", until=until, reason=reason)
    expected = MailboxState(
        mailbox_id="box",
        updated_at=clock.now,
        paused_at=clock.now,
        paused_until=until,
        pause_reason=reason,
    )
    expect(paused, expected)
    expect(await store.mailboxes.load("box"), expected)
    expect((await store.mailboxes.list()).items, (expected,))
    clock.now += 1
    longer = await store.mailboxes.pause("box")
    expect(longer, MailboxState(mailbox_id="box", updated_at=clock.now, paused_at=clock.now))
    clock.now += 1
    resumed = MailboxState(mailbox_id="box", updated_at=clock.now)
    expect(await store.mailboxes.resume("box"), resumed)
    clock.now += 1
    expect(await store.mailboxes.resume("box"), resumed)
    expect(await store.mailboxes.load("box"), resumed)
    expect(await store.mailboxes.resume("unknown"), None)


@checks.add(Guarantee.PAUSES_HOLD, each={"any mailbox": None, "the mailbox": "box"})
async def a_pause_ends_at_its_time_for_claims_from(
    store: Store, clock: ManualClock, mailbox_id: str | None
) -> None:
    await store.mailboxes.send("box", 1)
    await store.mailboxes.pause("box", until=clock.now + 100)
    clock.now += 99
    expect(await claim_payloads(store, mailbox_id), [])
    clock.now += 1
    expect(await claim_payloads(store, mailbox_id), [1])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_pause_ends_at_its_time_for_a_claim_by_id(store: Store, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("box", 1)).entry
    await store.mailboxes.pause("box", until=clock.now + 100)
    clock.now += 100
    expect((await claim_by_id(store, sent.entry_id)).payload, 1)


@checks.add(Guarantee.PAUSES_HOLD)
async def a_pause_holds_again_if_the_clock_goes_back(store: Store, clock: ManualClock) -> None:
    until = clock.now + 100
    await store.mailboxes.pause("box", until=until)
    clock.now = until
    expect(await claim_payloads(store), [])
    clock.now = until - 50
    await store.mailboxes.send("box", 1)
    expect(await claim_payloads(store), [])
    expect(await claim_payloads(store, "box"), [])
    clock.now = until
    expect(await claim_payloads(store), [1])


@checks.add(Guarantee.PAUSES_HOLD)
async def what_comes_after_the_end_of_a_pause_is_claimed(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.pause("box", until=clock.now + 100)
    clock.now += 100
    expect(await claim_payloads(store), [])
    await store.mailboxes.send("box", 1)
    await store.mailboxes.ack(await claim_one(store))
    await store.mailboxes.send("box", 2)
    expect(await claim_payloads(store), [2])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_pause_leaves_the_claim_that_is_held(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    await store.mailboxes.send("box", 1)
    await store.mailboxes.send("box", 2)
    held = await claim_one(store, lease_ms=100)
    await store.mailboxes.pause("box")
    async with store.batch() as step:
        step.mailboxes.hold(held)
        step.threads.append("t", says("still mine"))
    expect(await store.mailboxes.extend_lease(held, extension_ms=50), True)
    clock.now += 50
    expect(await claim_payloads(store), [])
    await store.mailboxes.resume("box")
    expect((await claim_one(store)).attempt_count, 2)


@checks.add(Guarantee.PAUSES_HOLD)
async def a_question_and_its_answer_are_a_batch_each(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="box"))
    sent = (await store.mailboxes.send("box", "refund?")).entry
    await store.mailboxes.send("box", "next")
    held = await claim_one(store)
    async with store.batch() as step:
        step.mailboxes.hold(held)
        step.threads.append("box", says("may I?"))
        step.mailboxes.release(held)
        step.mailboxes.pause("box", reason="approval")
    clock.now += 10**9
    expect(await claim_ids(store), [])
    async with store.batch() as step:
        step.threads.append("box", says("yes"))
        step.mailboxes.resume("box")
    again = await claim_one(store)
    expect((again.entry_id, again.attempt_count), (sent.entry_id, 1))


@checks.add(Guarantee.PAUSES_HOLD)
async def a_batch_that_fails_pauses_nothing(store: Store) -> None:
    await store.mailboxes.send("box", 1)
    with refused(NotFound):
        async with store.batch() as step:
            step.mailboxes.pause("box")
            step.threads.append("unknown", ThreadChangeSet())
    expect(await claim_payloads(store), [1])


@checks.add(Guarantee.PAUSES_HOLD)
async def an_interrupt_ends_a_pause(store: Store) -> None:
    await store.mailboxes.send("box", 1)
    paused = await store.mailboxes.pause("box", reason="why")
    state = (await store.mailboxes.interrupt("box")).mailbox_state
    expected = replace(paused, current_generation=1, paused_at=None, pause_reason=None)
    expect(state, expected)
    await store.mailboxes.send("box", 2)
    expect(await claim_payloads(store), [2])


@checks.add(Guarantee.PAUSES_HOLD)
async def a_retry_that_keeps_its_order_holds_back_others_after_a_pause_too(
    store: Store, clock: ManualClock
) -> None:
    for number in (1, 2):
        await store.mailboxes.send("box", number)
    failed = await claim_one(store)
    await store.mailboxes.nack(failed, retry_at=clock.now + 100, keep_order=True)
    await store.mailboxes.pause("box", until=clock.now + 50)
    clock.now += 50
    expect(await claim_payloads(store), [])
    clock.now += 50
    expect(await claim_payloads(store), [1])


@checks.add(Guarantee.PAUSES_HOLD, each=["resumed", "interrupted", "over"])
async def a_worker_that_waits_goes_on_when_a_pause_is(
    store: Store, clock: ManualClock, end: str
) -> None:
    await store.mailboxes.send("box", 1)
    await store.mailboxes.pause("box", until=clock.now + 200 if end == "over" else None)
    async with worker(store):
        match end:
            case "resumed":
                await store.mailboxes.resume("box")
            case "interrupted":
                await store.mailboxes.interrupt("box")
                await store.mailboxes.send("box", 2)
            case _:
                clock.now += 200


async def hold_and_ask(store: Store) -> tuple[MailboxEntry, Pause]:
    """Claim an entry, and write that its run waits. With it comes the pause of its holder."""
    held = await claim_one(store)
    await store.threads.append("box", waiting(held))
    return held, Pause(
        mailbox_id="box", reason="why", unless_answered=held.entry_id, since=held.updated_at
    )


def waiting(held: MailboxEntry) -> ThreadChangeSet:
    """What a run appends that waits and goes on with an entry."""
    meta = RunMeta(agent_id="a", status="waiting", source_mailbox_entry_id=held.entry_id)
    return ThreadChangeSet(run_id="r", run_meta=meta)


async def reason_after(store: Store, pause: Pause) -> str | None:
    """The reason for which a mailbox is paused after a pause."""
    [result] = (await store.commit((pause,))).results
    state = await store.mailboxes.load(pause.mailbox_id)
    expect(None if state is None else state.pause_reason, result.pause_reason)
    return None if state is None else state.pause_reason


HOUR = 3_600_000


@checks.add(
    Guarantee.PAUSES_HOLD,
    each={"later": [5], "at once": [0], "an hour before": [-HOUR], "once extended": [-HOUR, 5]},
)
async def a_holder_does_not_wait_for_an_answer_that_came_while_it_held_the_entry(
    store: Store, clock: ManualClock, steps: list[int]
) -> None:
    await store.threads.create(Thread(id="box"))
    await store.mailboxes.send("box", 1)
    held, pause = await hold_and_ask(store)
    for number, step in enumerate(steps):
        if number:
            expect(await store.mailboxes.extend_lease(held), True)
        clock.now += step
    await store.runs.end_wait("r", status="running", entry_id=held.entry_id)
    clock.now += 1
    expect(await reason_after(store, pause), None)
    expect(await reason_after(store, replace(pause, mailbox_id="other")), "why")
    await store.threads.append("box", waiting(held))
    expect(await reason_after(store, pause), "why")


@checks.add(Guarantee.PAUSES_HOLD, each={"at once": 0, "later": 5})
async def a_holder_waits_that_knows_the_answer(store: Store, clock: ManualClock, ms: int) -> None:
    await store.threads.create(Thread(id="box"))
    await store.mailboxes.send("box", 1)
    held, _ = await hold_and_ask(store)
    await store.mailboxes.release(held)
    await store.runs.end_wait("r", status="running", entry_id=held.entry_id)
    clock.now += ms
    again = await claim_one(store)
    known = Pause(
        mailbox_id="box", reason="why", unless_answered=again.entry_id, since=again.updated_at
    )
    expect(await reason_after(store, known), "why")
