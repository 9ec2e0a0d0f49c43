"""How to settle an entry whose handler failed: a pure rule, and the errors that steer it."""

from random import Random
from typing import cast

from treadle.core.claims import DeadLetter, Nack
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import MailboxEntry
from treadle.worker.backoff import Backoff

ERROR_LENGTH = 2_000
"""Maximum length of the error text that is stored with an entry, in characters."""


class Reject(Exception):
    """Raised by a handler: the entry can never succeed and becomes a dead letter at once."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Raised by a handler: try again in `delay_ms` milliseconds (None: after the backoff).

    It counts as an attempt like any other failure.
    """

    def __init__(self, *, delay_ms: int | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.delay_ms = delay_ms
        self.reason = reason


class TooManyAttempts(Exception):
    """Why an entry is not tried again: its attempts ended without a result, as in a crash."""


def decide(
    entry: MailboxEntry,
    claim_token: str,
    error: BaseException,
    *,
    max_attempts: int,
    backoff: Backoff,
    random: Random,
    now: int,
) -> Nack | DeadLetter:
    """Retry an entry or give it up, after its handler raised `error` at `now` (unix ms)."""
    text = describe_error(error)
    final = isinstance(error, Reject | TooManyAttempts) or entry.attempt_count >= max_attempts
    if final:
        return DeadLetter(entry_id=entry.entry_id, claim_token=claim_token, error=text)
    wanted = error.delay_ms if isinstance(error, Retry) else None
    delay_ms = backoff.delay_ms(entry.attempt_count, random) if wanted is None else max(wanted, 0)
    retry_at = min(now + delay_ms, LARGEST_TIME)
    return Nack(entry_id=entry.entry_id, claim_token=claim_token, retry_at=retry_at, error=text)


def describe_error(error: BaseException) -> str:
    """Return the error's type and message, in at most `ERROR_LENGTH` characters of valid UTF-8."""
    # a lone surrogate cannot be stored
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
