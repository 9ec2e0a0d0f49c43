"""What becomes of a delivery whose handler has failed: a pure rule, and how handlers bend it."""

from typing import cast

from treadle.core.commands import DeadLetter, Nack
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import MailboxEntry
from treadle.worker.backoff import Backoff

ERROR_LENGTH = 2_000
"""Longest error text that is kept with an entry, in characters."""


class Reject(Exception):
    """Raised by a handler: this entry can never succeed; make it a dead letter at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Raised by a handler: try again in `delay_ms` milliseconds (None: as the backoff says).

    It counts as an attempt like any other failure.
    """

    def __init__(self, *, delay_ms: int | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.delay_ms = delay_ms
        self.reason = reason


class TooManyAttempts(Exception):
    """Why an entry is not tried again: its attempts ended without a word, as in a crash."""


def decide(
    entry: MailboxEntry,
    claim_token: str,
    error: BaseException,
    *,
    max_attempts: int,
    backoff: Backoff,
    now: int,
) -> Nack | DeadLetter:
    """Retry the entry, or give it up, now (unix milliseconds) that its handler raised `error`."""
    text = describe_error(error)
    final = isinstance(error, Reject | TooManyAttempts) or entry.attempt_count >= max_attempts
    if final:
        return DeadLetter(entry_id=entry.entry_id, claim_token=claim_token, error=text)
    wanted = error.delay_ms if isinstance(error, Retry) else None
    delay_ms = backoff.delay_ms(entry.attempt_count) if wanted is None else max(wanted, 0)
    retry_at = min(now + delay_ms, LARGEST_TIME)
    return Nack(entry_id=entry.entry_id, claim_token=claim_token, retry_at=retry_at, error=text)


def describe_error(error: BaseException) -> str:
    """The error's type and message in at most `ERROR_LENGTH` characters that a store can keep."""
    storable = _describe(error).encode("utf-8", "backslashreplace").decode()
    if len(storable) <= ERROR_LENGTH:
        return storable
    return f"{storable[: ERROR_LENGTH - 1]}…"


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    try:
        message = str(error)
    except Exception as failure:
        message = f"(its message failed with {type(failure).__name__})"
    text = f"{name}: {message}" if message else name
    if not isinstance(error, BaseExceptionGroup):
        return text
    group = cast("BaseExceptionGroup[BaseException]", error)
    return f"{text} [{'; '.join(_describe(inner) for inner in group.exceptions)}]"
