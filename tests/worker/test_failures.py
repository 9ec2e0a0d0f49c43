"""Failing handlers: their entries are retried, given up in the end, and hold up no others."""

import asyncio
import math
import random
from typing import Any, cast

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    AT_ONCE,
    FaultyBackend,
    NewWorker,
    Recorder,
    load,
    running,
    until_idle,
)

from treadle import InvalidValue, MailboxEntry, NotFound, Store
from treadle.core.claims import DeadLetter, Nack
from treadle.core.limits import LARGEST_TIME
from treadle.testing import ManualClock
from treadle.worker import (
    Backoff,
    DeadLettered,
    Delivery,
    Done,
    LeaseLost,
    Reject,
    Retried,
    Retry,
    TooManyAttempts,
)
from treadle.worker._decision import decide
from treadle.worker._failures import ERROR_LENGTH, TRACEBACK_LENGTH, describe_error, trace_of


def entry(attempts: int = 1) -> MailboxEntry:
    return MailboxEntry(
        entry_id="e",
        mailbox_id="m",
        status="claimed",
        claim_token="token",
        attempt_count=attempts,
    )


def decided(
    error: BaseException, attempts: int = 1, backoff: Backoff | None = None, now: int = 1_000
) -> Nack | DeadLetter:
    [settlement] = decide(
        [entry(attempts)],
        error,
        max_attempts=3,
        backoff=backoff or AT_ONCE,
        keep_order=True,
        random=random.Random(),
        now=now,
    )
    assert isinstance(settlement, Nack | DeadLetter)
    return settlement


def retry_at(error: BaseException, attempts: int = 1, backoff: Backoff | None = None) -> int:
    settlement = decided(error, attempts, backoff)
    assert isinstance(settlement, Nack)
    assert settlement.retry_at is not None
    return settlement.retry_at


def test_a_failure_is_retried_within_the_ceiling_of_its_attempt() -> None:
    backoff = Backoff(base_ms=10, factor=10, max_ms=100)
    first = {retry_at(ValueError(), 1, backoff) for _ in range(500)}
    second = {retry_at(ValueError(), 2, backoff) for _ in range(500)}
    assert min(first) >= 1_000
    assert max(first) <= 1_010 < max(second) <= 1_100


def test_an_entry_is_a_dead_letter_after_its_last_attempt() -> None:
    assert isinstance(decided(ValueError(), 2), Nack)
    assert isinstance(decided(ValueError(), 3), DeadLetter)


@pytest.mark.parametrize("error", [Reject("no"), TooManyAttempts("3")])
def test_a_rejected_entry_is_a_dead_letter_at_its_first_attempt(error: Exception) -> None:
    assert isinstance(decided(error, 1), DeadLetter)


def test_a_retry_chooses_its_delay_but_gets_no_more_attempts() -> None:
    assert retry_at(Retry(delay_ms=70)) == 1_070
    assert retry_at(Retry(delay_ms=-5)) == 1_000
    assert isinstance(decided(Retry(delay_ms=70), 3), DeadLetter)


def test_a_retry_is_due_at_the_largest_time_at_the_latest() -> None:
    assert retry_at(Retry(delay_ms=LARGEST_TIME)) == LARGEST_TIME


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("what"), "ValueError: what"),
        (ValueError(), "ValueError"),
        (Unprintable(), "Unprintable: (its message failed with RuntimeError)"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (
            ExceptionGroup("two", [KeyError("a"), Reject("b")]),
            "ExceptionGroup: two (2 sub-exceptions) [KeyError: 'a'; Reject: b]",
        ),
    ],
)
def test_an_error_is_described_by_its_type_and_message(error: Exception, text: str) -> None:
    assert describe_error(error) == text


def test_an_error_text_is_bounded() -> None:
    text = describe_error(ValueError("x" * 10_000))
    assert len(text) == ERROR_LENGTH
    assert text.startswith("ValueError: xxx")
    assert text.endswith("…")


async def test_a_failing_handler_is_called_again_until_its_attempts_are_exhausted(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    attempts: list[int] = []

    async def fail(delivery: Delivery) -> None:
        attempts.append(delivery.entry.attempt_count)
        raise ValueError(f"attempt {delivery.entry.attempt_count}")

    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(new_worker(store, fail, max_attempts=3, backoff=AT_ONCE))
    assert attempts == [1, 2, 3]
    assert [event.error for event in recorder.of(Retried)] == [
        "ValueError: attempt 1",
        "ValueError: attempt 2",
    ]
    [dead] = recorder.of(DeadLettered)
    assert isinstance(dead.exception, ValueError)
    left = await load(store, sent)
    assert (left.status, left.attempt_count) == ("dead_letter", 3)
    assert left.last_error == "ValueError: attempt 3"


async def test_an_entry_keeps_its_error_while_it_waits_for_its_retry(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    recorder.skips_delays = False

    async def fail(delivery: Delivery) -> None:
        raise Retry(delay_ms=3_600_000, reason="later")

    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, fail)):
        [retried] = await recorder.wait_for(Retried)
    left = await load(store, sent)
    assert (left.status, left.last_error) == ("queued", "Retry: later")
    assert left.available_at == retried.retry_at
    assert left.available_at == clock.now + 3_600_000


@every_backend
async def test_a_retry_is_due_by_the_clock_of_the_store(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    recorder.skips_delays = False
    clock.now += 86_400_000_000  # a server whose clock is years ahead of the worker's machine

    async def fail(delivery: Delivery) -> None:
        raise Retry(delay_ms=1_000)

    await store.mailboxes.send("m", 1)
    async with running(new_worker(store, fail)):
        [retried] = await recorder.wait_for(Retried)
    assert retried.retry_at == clock.now + 1_000


@every_backend
@pytest.mark.parametrize("keep_order", [True, False])
async def test_a_failed_entry_keeps_its_order_unless_the_worker_lets_others_pass(
    store: Store, keep_order: bool, new_worker: NewWorker
) -> None:
    worked: list[object] = []
    attempts: dict[object, int] = {}

    async def handler(delivery: Delivery) -> None:
        entry = delivery.entry
        attempts[entry.payload] = entry.attempt_count
        if entry.payload == 0 and entry.attempt_count < 3:
            raise Retry(delay_ms=1_000)
        worked.append(entry.payload)

    for number in range(3):
        await store.mailboxes.send("m", number)
    await until_idle(new_worker(store, handler, keep_order=keep_order))
    assert worked[0] == (0 if keep_order else 1)
    assert worked == [0, 1, 2] or not keep_order
    assert attempts == {0: 3, 1: 1, 2: 1}


async def test_a_rejected_entry_is_not_tried_again(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def refuse(delivery: Delivery) -> None:
        raise Reject("nobody can read this")

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, refuse))
    assert recorder.names() == ["Claimed", "DeadLettered"]
    assert recorder.of(DeadLettered)[0].error == "Reject: nobody can read this"


async def test_an_entry_that_crashed_too_many_workers_is_given_up_without_another_call(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    called: list[str] = []

    async def handler(delivery: Delivery) -> None:
        called.append(delivery.entry.mailbox_id)

    await store.mailboxes.send("m", 1)
    for _ in range(6):  # workers that crashed, the last three as they tried the entry alone
        assert await store.mailboxes.claim(consumer="dead", lease_ms=10)
        clock.now += 11
    await until_idle(new_worker(store, handler, max_attempts=3))
    assert called == []
    assert recorder.of(DeadLettered)[0].error == (
        "TooManyAttempts: attempt 7 is not made: 6 were, the most is 3, and then 3 alone; "
        "they ended with their processes, or hung"
    )


async def test_an_entry_with_more_failed_attempts_than_are_allowed_now_says_the_last_error(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        raise AssertionError

    await store.mailboxes.send("m", 1)
    for _ in range(6):
        [claimed] = await store.mailboxes.claim(consumer="w")
        await store.mailboxes.nack(claimed, error="ValueError: no luck", retry_at=clock.now)
    await until_idle(new_worker(store, handler, max_attempts=3))
    assert recorder.of(DeadLettered)[0].error == (
        "TooManyAttempts: attempt 7 is not made: 6 were, the most is 3, and then 3 alone; "
        "the last error: ValueError: no luck"
    )


@every_backend
async def test_entries_that_were_in_flight_when_processes_died_are_tried_alone(
    store: Store, clock: ManualClock, new_worker: NewWorker
) -> None:
    running: set[str] = set()
    beside: dict[object, int] = {}

    async def handler(delivery: Delivery) -> None:
        running.add(delivery.entry.entry_id)
        for _ in range(5):
            await asyncio.sleep(0.001)
            most = max(beside.get(delivery.entry.payload, 0), len(running))
            beside[delivery.entry.payload] = most
        running.remove(delivery.entry.entry_id)

    for number in range(4):
        await store.mailboxes.send(f"m{number}", number)
    for _ in range(3):  # one of the four ends the process, each time
        assert len(await store.mailboxes.claim(4, consumer="dead", lease_ms=10)) == 4
        clock.now += 11
    for number in range(4, 7):
        await store.mailboxes.send(f"m{number}", number)
    await until_idle(new_worker(store, handler, max_attempts=3))
    assert (await store.mailboxes.count_entries()).accepted == 7
    assert {number: beside[number] for number in range(4)} == dict.fromkeys(range(4), 1)
    assert max(beside.values()) > 1


@pytest.mark.parametrize(
    ("delay_ms", "expected"), [(200.0, 200), (0.1, 1), (-5, 0), (1e300, LARGEST_TIME)]
)
def test_the_delay_of_a_retry_is_rounded_up_to_an_integer(delay_ms: float, expected: int) -> None:
    assert Retry(delay_ms=delay_ms).delay_ms == expected


@pytest.mark.parametrize("delay_ms", ["200", math.nan, math.inf, -math.inf, True, [1]])
@every_backend
async def test_a_retry_with_a_delay_that_is_no_number_is_a_failure_like_any_other(
    store: Store, recorder: Recorder, delay_ms: Any, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        raise Retry(delay_ms=delay_ms, reason="429")

    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(new_worker(store, handler, max_attempts=2, backoff=AT_ONCE))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "DeadLettered"]
    left = await load(store, sent)
    assert "retry.delay_ms: it must be a number of milliseconds" in str(left.last_error)


class Soon(Retry):
    def __init__(self) -> None:
        self.delay_ms = cast("Any", "soon")


class Never(Retry):
    @property
    def delay_ms(self) -> int:
        raise SystemExit

    @delay_ms.setter
    def delay_ms(self, value: object) -> None:
        pass


@pytest.mark.parametrize("kind", [Soon, Never])
async def test_a_retry_whose_delay_was_changed_to_nonsense_waits_for_the_backoff(
    store: Store, recorder: Recorder, new_worker: NewWorker, kind: type[Retry]
) -> None:
    async def handler(delivery: Delivery) -> None:
        raise kind

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, handler, max_attempts=2, backoff=AT_ONCE))
    assert recorder.names() == ["Claimed", "Retried", "Claimed", "DeadLettered"]


async def test_entries_that_always_fail_at_once_starve_no_others(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == "poison":
            raise ValueError

    for mailbox in range(4):
        await store.mailboxes.send(f"bad-{mailbox}", "poison")
    for number in range(20):
        await store.mailboxes.send(f"good-{number % 3}", number)
    worker = new_worker(store, handler, backoff=AT_ONCE, max_attempts=10**6, concurrency=2)
    async with running(worker):
        await recorder.wait_for(Done, 20)
    failed = [event.entry.mailbox_id for event in recorder.of(Retried)]
    assert all(mailbox.startswith("bad") for mailbox in failed)


@pytest.mark.parametrize("times", [1, 2])
async def test_an_outcome_that_the_store_refuses_is_a_retry_if_possible_and_ends_no_worker(
    faulty: FaultyBackend,
    faulty_store: Store,
    recorder: Recorder,
    new_worker: NewWorker,
    times: int,
) -> None:
    refusals = 0

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == "bad":
            faulty.before = refuse
            raise ValueError

    def refuse(name: str) -> None:
        nonlocal refusals
        if name == "commit" and refusals < times:
            refusals += 1
            raise InvalidValue("nack.error", "of no use")

    await faulty_store.mailboxes.send("a", "bad")
    async with running(new_worker(faulty_store, handler)):
        if times == 1:
            [retried] = await recorder.wait_for(Retried)
            assert retried.error == "ValueError"
        else:
            [lost] = await recorder.wait_for(LeaseLost)
            assert "of no use" in lost.reason
        await faulty_store.mailboxes.send("b", "good")
        await recorder.wait_for(Done)


@pytest.mark.parametrize("seed", range(5))
async def test_every_entry_ends_once_whatever_its_handler_raises(
    store: Store, recorder: Recorder, seed: int, new_worker: NewWorker
) -> None:
    draw = random.Random(seed)

    async def handler(delivery: Delivery) -> None:
        match draw.randrange(4):
            case 0:
                raise Reject("no")
            case 1:
                raise NotFound("thread", "t")
            case 2:
                raise Retry(delay_ms=0)

    for number in range(60):
        await store.mailboxes.send(f"m-{draw.randrange(9)}", number)
    await until_idle(new_worker(store, handler, backoff=AT_ONCE, max_attempts=4))
    stats = await store.mailboxes.count_entries()
    assert stats.accepted == len(recorder.of(Done))
    assert stats.dead_letter == len(recorder.of(DeadLettered))
    assert stats.accepted + stats.dead_letter == 60


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise KeyError("MODEL_KEY")


@every_backend
async def test_the_end_of_the_traceback_is_kept_with_the_entry(
    store: Store, recorder: Recorder, clock: ManualClock, new_worker: NewWorker
) -> None:
    recorder.skips_delays = False

    async def handler(delivery: Delivery) -> None:
        deep(0)

    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, handler)):
        await recorder.wait_for(Retried)
    kept = str((await load(store, sent)).last_traceback)
    assert kept.startswith("Traceback (most recent call last):\n")
    assert 'raise KeyError("MODEL_KEY")' in kept
    assert kept.endswith("KeyError: 'MODEL_KEY'")


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_traceback_begins_at_the_handler(
    store: Store, recorder: Recorder, new_worker: NewWorker, in_thread: bool
) -> None:
    recorder.skips_delays = False

    async def here(delivery: Delivery) -> None:
        deep(0)

    def there(delivery: Delivery) -> None:
        deep(0)

    sent = (await store.mailboxes.send("m", 1)).entry
    async with running(new_worker(store, there if in_thread else here)):
        await recorder.wait_for(Retried)
    _, first, *_ = str((await load(store, sent)).last_traceback).splitlines()
    assert first.startswith(f'  File "{__file__}", line ')


def test_a_traceback_is_bounded_and_can_be_stored() -> None:
    def raised(error: Exception, levels: int = 0) -> Exception:
        try:
            deep(levels)
        except KeyError:
            try:
                raise error
            except Exception as caught:
                return caught
        raise AssertionError

    long = trace_of(raised(ValueError("x" * 10_000), 100))
    assert len(long) == TRACEBACK_LENGTH
    assert long.startswith("…")
    assert "\\ud800" in trace_of(raised(ValueError("\ud800")))
    assert "str() failed" in trace_of(raised(Unprintable()))


@pytest.mark.parametrize("error", [Reject("no"), Retry(reason="busy"), TooManyAttempts("3")])
def test_a_decision_of_a_handler_has_no_traceback_but_its_cause_has(error: Exception) -> None:
    assert decided(error, attempts=3).traceback is None
    error.__cause__ = KeyError("why")
    assert "KeyError: 'why'" in str(decided(error, attempts=3).traceback)


@every_backend
async def test_a_handler_knows_its_last_attempt(store: Store, new_worker: NewWorker) -> None:
    said: list[bool] = []

    async def handler(delivery: Delivery) -> None:
        said.append(delivery.is_last_attempt)
        raise ValueError

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, handler, max_attempts=3, backoff=AT_ONCE))
    assert said == [False, False, True]
