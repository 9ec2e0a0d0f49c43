"""Hooks receive all events, and cannot break the worker."""

import logging
from contextvars import ContextVar

import msgspec
import pytest
from tests.worker.support import NewWorker, Recorder, return_at_once, until_idle

from treadle import MailboxEntry, Store, StoreUnavailable
from treadle.worker import (
    Claimed,
    DeadLettered,
    Delivery,
    Done,
    Event,
    LeaseLost,
    Outage,
    Purged,
    Reject,
    Released,
    Retried,
    Withdrawn,
    Worker,
    log_events,
)

CLAIMED_AT = 1_000_000
FIRST = MailboxEntry(
    entry_id="e-1",
    mailbox_id="m-1",
    status="claimed",
    attempt_count=1,
    updated_at=CLAIMED_AT,
)
ENTRY = msgspec.structs.replace(FIRST, attempt_count=2)


async def test_a_hook_that_raises_is_logged_and_does_not_break_the_worker(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise ValueError("the hook is broken")

    await store.mailboxes.send("m", 1)
    await until_idle(Worker(store, return_at_once, on_event=broken))
    assert (await store.mailboxes.count_entries()).accepted == 1
    messages = [record.getMessage() for record in caplog.records if record.exc_info]
    assert messages == ["the hook failed at Claimed", "the hook failed at Done"]
    assert "the hook is broken" in caplog.text


async def test_what_a_hook_sets_is_inherited_by_its_handler_only(store: Store) -> None:
    current = ContextVar("current", default="nothing")
    found: list[tuple[str, str]] = []

    def hook(event: Event) -> None:
        if isinstance(event, Claimed):
            found.append(("before", current.get()))
            current.set(event.entry.mailbox_id)

    async def handler(delivery: Delivery) -> None:
        found.append((delivery.entry.mailbox_id, current.get()))

    for name in ("a", "b", "c"):
        await store.mailboxes.send(name, 1)
    await until_idle(Worker(store, handler, on_event=hook))
    assert sorted(found) == [("a", "a"), ("b", "b"), *[("before", "nothing")] * 3, ("c", "c")]
    assert current.get() == "nothing"


async def test_logging_is_the_default_hook(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "treadle.worker")
    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(Worker(store, return_at_once))
    assert {record.name for record in caplog.records if "treadle" in record.name} == {
        "treadle.worker"
    }
    assert f"claimed entry {sent.entry_id!r} of mailbox 'm', attempt 1" in caplog.text


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (Claimed(entry=FIRST), logging.DEBUG, "attempt 1"),
        (Claimed(entry=ENTRY), logging.INFO, "attempt 2"),
        (Done(entry=ENTRY, lasted_ms=7), logging.DEBUG, "7 ms"),
        (
            Retried(entry=ENTRY, lasted_ms=7, error="E: x", retry_at=CLAIMED_AT + 507),
            logging.WARNING,
            "due in 500 ms: E: x",
        ),
        (DeadLettered(entry=ENTRY, lasted_ms=7, error="E: x"), logging.ERROR, "E: x"),
        (Released(entry=ENTRY, lasted_ms=7), logging.INFO, "7 ms"),
        (LeaseLost(entry=ENTRY, reason="gone"), logging.WARNING, "gone"),
        (Withdrawn(entry=ENTRY, status="superseded"), logging.INFO, "superseded"),
        (
            Outage(operation="claim", error=StoreUnavailable("x", "y"), retry_in_ms=5),
            logging.WARNING,
            "cannot claim, next try in 5 ms",
        ),
        (
            Outage(operation="renew", error=TimeoutError(), retry_in_ms=5),
            logging.WARNING,
            "cannot renew, next try in 5 ms: TimeoutError",
        ),
        (Purged(count=3, ended_before=9), logging.INFO, "purged 3 entries"),
    ],
)
def test_every_event_is_logged_at_its_level(
    caplog: pytest.LogCaptureFixture, event: Event, level: int, words: str
) -> None:
    caplog.set_level(logging.DEBUG, "treadle.worker")
    log_events(event)
    [record] = caplog.records
    assert record.levelno == level
    assert words in record.getMessage()
    if hasattr(event, "entry"):
        assert "'e-1' of mailbox 'm-1'" in record.getMessage()


def rejected_from(cause: Exception) -> Reject:
    try:
        raise Reject("x") from cause
    except Reject as error:
        return error


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [(ValueError("x"), True), (Reject("x"), False), (rejected_from(KeyError("y")), True)],
)
def test_a_dead_letter_is_logged_with_a_traceback_unless_the_handler_decided_it(
    caplog: pytest.LogCaptureFixture, error: Exception, has_traceback: bool
) -> None:
    log_events(DeadLettered(entry=ENTRY, lasted_ms=7, error="E: x", exception=error))
    [record] = caplog.records
    assert bool(record.exc_info) is has_traceback


def test_events_are_frozen_values() -> None:
    event = Done(entry=ENTRY, lasted_ms=7)
    assert event == Done(entry=ENTRY, lasted_ms=7)
    with pytest.raises(AttributeError):
        event.lasted_ms = 8  # type: ignore[misc]


async def test_each_claim_has_one_event_for_its_start_and_one_for_its_end(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    for number in range(30):
        await store.mailboxes.send(f"m-{number % 7}", number)
    await until_idle(new_worker(store, return_at_once))
    for kind in (Claimed, Done):
        ids = [event.entry.entry_id for event in recorder.of(kind)]
        assert len(ids) == len(set(ids)) == 30
