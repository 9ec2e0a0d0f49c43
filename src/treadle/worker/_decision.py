"""How to settle an entry whose handler failed: a pure rule, and the errors that steer it."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any

from treadle.core.claims import DeadLetter, Nack, Release, Settlement, claim_of
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import InvalidValue, shorten
from treadle.worker._failures import describe_error, is_of_process, trace_of
from treadle.worker.backoff import Backoff


class Reject(Exception):
    """Raised by a handler: the entry can never succeed and becomes a dead letter at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Raised by a handler: try again in `delay_ms` milliseconds (None: after the backoff).

    It counts as an attempt like any other failure; a `Snooze` does not. A fraction of a millisecond
    is rounded up.

    Raises:
        InvalidValue: `delay_ms` is not a finite number.
    """

    def __init__(self, *, delay_ms: float | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.delay_ms = None if delay_ms is None else _whole_delay(delay_ms, "retry")
        self.reason = reason


class Snooze(Exception):
    """Raised by a handler: try again in `delay_ms` milliseconds; this was not an attempt.

    For what is nobody's fault, such as a rate limit or a model that is down: however long that
    takes, the entry does not become a dead letter. A fraction of a millisecond is rounded up.

    Raises:
        InvalidValue: `delay_ms` is not a finite number.
    """

    def __init__(self, *, delay_ms: float, reason: str = "") -> None:
        super().__init__(reason)
        self.delay_ms = _whole_delay(delay_ms, "snooze")
        self.reason = reason


def _whole_delay(delay_ms: float, where: str) -> int:
    """Return a delay as an integer from 0 to the largest time.

    Raises:
        InvalidValue: it is not a finite number.
    """
    is_number = isinstance(delay_ms, int | float) and not isinstance(delay_ms, bool)
    if is_number and abs(delay_ms) < math.inf:
        return min(max(math.ceil(delay_ms), 0), LARGEST_TIME)
    reason = f"it must be a number of milliseconds, not {shorten(delay_ms)}"
    raise InvalidValue(f"{where}.delay_ms", reason)


class TooManyAttempts(Exception):
    """Why an entry is not tried again: its attempts ended without a result, as in a crash."""


LONE_ATTEMPTS = 3
"""How many attempts more a suspect gets, with nothing beside it.

One would not do: a process may also die for a reason of its own, or between the claim of a suspect
and its release, because of what runs meanwhile.
"""


def is_suspect(entry: MailboxEntry, max_attempts: int) -> bool:
    """Return whether a claimed entry has used up its attempts, and the last one did not end.

    It may have ended with its process because of another entry that was worked beside it. So it
    gets some attempts more, alone.
    """
    return entry.attempt_count > max_attempts


def is_last_try(entry: MailboxEntry, max_attempts: int) -> bool:
    """Return whether the last of several attempts is made with a claimed entry, or one more.

    It is made with that entry alone: one that always fails takes no others with it.
    """
    return entry.attempt_count >= max(max_attempts, 2)


def decide(
    entries: Sequence[MailboxEntry],
    error: BaseException,
    *,
    max_attempts: int,
    backoff: Backoff,
    keep_order: bool,
    random: Random,
    now: int,
) -> list[Settlement]:
    """Retry claimed entries or give them up, after their handler raised `error` at `now` (unix ms).

    They have one time for their retry, so that they can be worked together again. A handler rejects
    the first one; it has said nothing about the others, which are released.
    """
    if not entries:
        return []
    text, trace = describe_error(error), None if is_decision(error) else trace_of(error)
    first, *others = entries
    if isinstance(error, Reject | TooManyAttempts):
        rejection = DeadLetter(**_claim(first), error=text, traceback=trace)
        return [rejection, *(Release(**_claim(each)) for each in others)]
    wanted = _wanted_delay(error)
    delay_ms = backoff.delay_ms(first.attempt_count, random) if wanted is None else wanted
    retry_at = min(now + delay_ms, LARGEST_TIME)
    if isinstance(error, Snooze):
        again: dict[str, Any] = {"retry_at": retry_at, "error": text, "keep_order": keep_order}
        return [Release(**_claim(entry), **again) for entry in entries]
    return [
        DeadLetter(**_claim(entry), error=text, traceback=trace)
        if entry.attempt_count >= max_attempts
        else Nack(
            **_claim(entry),
            retry_at=retry_at,
            error=text,
            traceback=trace,
            keep_order=keep_order,
        )
        for entry in entries
    ]


def _claim(entry: MailboxEntry) -> dict[str, Any]:
    entry_id, claim_token = claim_of(entry, None)
    return {"entry_id": entry_id, "claim_token": claim_token}


def _wanted_delay(error: BaseException) -> int | None:
    """Return the delay that a handler asks for; None if it leaves it to the backoff."""
    if not isinstance(error, Retry | Snooze):
        return None
    try:
        return None if error.delay_ms is None else _whole_delay(error.delay_ms, "retry")
    except BaseException as failure:  # a subclass has set it: the failure counts, the delay not
        if is_of_process(failure):
            raise
        return None


def is_decision(error: BaseException) -> bool:
    """Return whether an error is only a handler's decision, whose message says it all."""
    decides = isinstance(error, Reject | Retry | Snooze | TooManyAttempts)
    return decides and not (error.__cause__ or error.__context__)
