"""Reports of entries: what waits, what is held, and what fails."""

from treadle import EntryReport, ErrorCount, MailboxStats, Store
from treadle.backends.base import Guarantee
from treadle.core.mailbox_reports import ERRORS
from treadle.testing._harness.builders import claim_one, enqueue, entry
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_report_tells_due_from_scheduled_and_retrying(store: Store, clock: ManualClock) -> None:
    now = clock.now
    expect(await store.mailboxes.report(), EntryReport(at=now))
    await enqueue(
        store,
        entry("now", available_at=now),
        entry("oldest", available_at=now - 9),
        entry("later", available_at=now + 1),
        entry("retry", available_at=now + 5, attempt_count=2),
        entry("due retry", available_at=now - 2, attempt_count=1),
    )
    counts = MailboxStats(queued=5)
    report = EntryReport(
        at=now, counts=counts, due=3, scheduled=1, retrying=1, oldest_due_at=now - 9
    )
    expect(await store.mailboxes.report(), report)
    clock.now += 1
    later = await store.mailboxes.report("box")
    expect((later.due, later.scheduled, later.retrying, later.at), (4, 0, 1, now + 1))
    asked = await store.mailboxes.report(now=now - 3)
    expect((asked.due, asked.scheduled, asked.retrying, asked.at), (1, 2, 2, now - 3))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_report_counts_what_is_in_a_paused_mailbox_apart(
    store: Store, clock: ManualClock
) -> None:
    now = clock.now
    await enqueue(
        store,
        entry("due", "a", available_at=now - 9),
        entry("later", "a", available_at=now + 50),
        entry("retry", "b", available_at=now + 50, attempt_count=1),
        entry("other", "c", available_at=now - 2),
    )
    await store.mailboxes.pause("a")
    await store.mailboxes.pause("b", until=now + 10)
    await store.mailboxes.pause("empty")
    report = await store.mailboxes.report()
    expect((report.due, report.scheduled, report.retrying, report.paused), (1, 0, 0, 3))
    expect((report.counts.queued, report.oldest_due_at), (4, now - 2))
    of_a = await store.mailboxes.report("a")
    expect((of_a.due, of_a.scheduled, of_a.paused, of_a.oldest_due_at), (0, 0, 2, None))
    clock.now += 10
    ended = await store.mailboxes.report()
    expect((ended.due, ended.scheduled, ended.retrying, ended.paused), (1, 0, 1, 2))
    await store.mailboxes.resume("a")
    resumed = await store.mailboxes.report()
    expect((resumed.due, resumed.scheduled, resumed.paused), (2, 1, 0))
    expect(resumed.oldest_due_at, now - 9)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def what_was_sent_without_a_delay_is_reported_as_due_when_the_clock_goes_back(
    store: Store, clock: ManualClock
) -> None:
    await store.mailboxes.send("box", 1)
    clock.now -= 60_000
    expect((await store.mailboxes.report()).due, 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_report_counts_leases_that_are_over(store: Store, clock: ManualClock) -> None:
    for mailbox_id, lease_ms in (("a", 100), ("b", 101)):
        await store.mailboxes.send(mailbox_id, 1)
        await claim_one(store, mailbox_id, lease_ms=lease_ms)
    expect((await store.mailboxes.report()).expired, 0)
    clock.now += 100
    report = await store.mailboxes.report()
    expect((report.expired, report.counts.claimed, report.due), (1, 2, 0))
    expect((await store.mailboxes.report("b")).expired, 0)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_report_groups_errors_by_their_number(store: Store) -> None:
    frequent = "the model is overloaded: é \U0001f9f5"
    for number in range(3):
        await enqueue(store, entry(f"f{number}", f"box {number}", last_error=frequent))
    await enqueue(store, entry("x", "x", last_error='"b" \n'), entry("y", "y", last_error="a"))
    await enqueue(store, entry("z", "z"), entry("over", "over", last_error="ended by hand"))
    await store.mailboxes.cancel("over")
    await store.mailboxes.dead_letter(await claim_one(store, "z"), error="a")
    report = await store.mailboxes.report()
    errors = [ErrorCount(error=frequent, count=3), ErrorCount(error="a", count=2)]
    expect(report.errors, (*errors, ErrorCount(error='"b" \n', count=1)))
    expect((await store.mailboxes.report("y")).errors, (ErrorCount(error="a", count=1),))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_report_has_the_most_frequent_errors_only(store: Store) -> None:
    errors = [f"error {number:02}" for number in range(ERRORS + 2)]
    for number, error in enumerate([*errors, errors[-1]]):
        await enqueue(store, entry(f"e{number}", f"box {number}", last_error=error))
    found = (await store.mailboxes.report()).errors
    expect([each.error for each in found], [errors[-1], *errors[: ERRORS - 1]])
