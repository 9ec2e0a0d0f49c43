"""What a worker tells: frozen values that a hook receives; logging is such a hook.

The end of a claim is told when its handler has returned, although a batch of the handler may have
settled the entry earlier; a retry can be claimed, and told, before that.
"""

import logging
from collections.abc import Callable
from typing import TypeAlias, assert_never

import msgspec

from treadle.core.mailboxes import EntryStatus, MailboxEntry
from treadle.worker.decision import Reject, Retry, describe_error

_LOGGER = logging.getLogger("treadle.worker")


class _OfDelivery(msgspec.Struct, frozen=True, kw_only=True):
    entry: MailboxEntry
    """As it was claimed."""


class _Ended(_OfDelivery, frozen=True, kw_only=True):
    lasted_ms: int
    """Milliseconds since the claim."""


class Claimed(_OfDelivery, frozen=True, kw_only=True):
    """The worker has an entry, and its handler is about to start."""


class Done(_Ended, frozen=True, kw_only=True):
    """The entry is accepted."""


class Retried(_Ended, frozen=True, kw_only=True):
    """The handler failed; the entry is due again at `retry_at` (unix milliseconds)."""

    error: str
    """What is kept in `MailboxEntry.last_error`."""
    retry_at: int
    exception: BaseException | None = None
    """What the handler raised; None if a batch of it settled the entry."""


class DeadLettered(_Ended, frozen=True, kw_only=True):
    """The entry failed for good."""

    error: str
    """What is kept in `MailboxEntry.last_error`."""
    exception: BaseException | None = None
    """What the handler raised; None if a batch of it settled the entry."""


class Released(_Ended, frozen=True, kw_only=True):
    """The entry was given back unfinished, and its attempt with it."""


class LeaseLost(_OfDelivery, frozen=True, kw_only=True):
    """The claim is not the worker's any more; its handler is cancelled, and can write nothing."""

    reason: str


class Withdrawn(_OfDelivery, frozen=True, kw_only=True):
    """The entry was ended from outside, and its handler is cancelled.

    `status` is superseded (its mailbox was interrupted, or the entry replaced) or cancelled.
    """

    status: EntryStatus


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """The store could not do `operation`; the worker tries again in `retry_in_ms` milliseconds."""

    operation: str
    """One of "claim", "renew", "settle" and "purge"."""
    error: Exception
    retry_in_ms: int


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """`count` entries that ended before `older_than` (unix milliseconds) were removed."""

    count: int
    older_than: int


Event: TypeAlias = (
    Claimed | Done | Retried | DeadLettered | Released | LeaseLost | Withdrawn | Outage | Purged
)
"""Whatever a worker tells."""

OnEvent: TypeAlias = Callable[[Event], None]
"""A hook. It is called on the worker's event loop, so it must not block."""


def log_events(event: Event) -> None:
    """The default hook: write events to the standard logger `treadle.worker`."""
    match event:
        case Claimed():
            again = event.entry.attempt_count > 1
            level = logging.INFO if again else logging.DEBUG
            _LOGGER.log(level, "claimed %s, attempt %d", _name(event), event.entry.attempt_count)
        case Done():
            _LOGGER.debug("done with %s after %d ms", _name(event), event.lasted_ms)
        case Retried():
            message = "attempt %d of %s failed, the next one is due in %d ms: %s"
            attempt = event.entry.attempt_count
            due_in_ms = event.retry_at - event.entry.updated_at - event.lasted_ms
            _LOGGER.warning(
                message,
                attempt,
                _name(event),
                max(due_in_ms, 0),
                event.error,
                exc_info=_told_with_traceback(event.exception),
            )
        case DeadLettered():
            message = "%s is a dead letter after attempt %d: %s"
            attempt = event.entry.attempt_count
            cause = _told_with_traceback(event.exception)
            _LOGGER.error(message, _name(event), attempt, event.error, exc_info=cause)
        case Released():
            _LOGGER.info("gave %s back after %d ms", _name(event), event.lasted_ms)
        case LeaseLost():
            _LOGGER.warning("lost the lease of %s: %s", _name(event), event.reason)
        case Withdrawn():
            _LOGGER.info("%s was %s meanwhile", _name(event), event.status)
        case Outage():
            message = "the store cannot %s, next try in %d ms: %s"
            reason = describe_error(event.error)
            _LOGGER.warning(message, event.operation, event.retry_in_ms, reason)
        case Purged():
            message = "purged %d entries that ended before %d"
            _LOGGER.info(message, event.count, event.older_than)
        case _:
            assert_never(event)


def _told_with_traceback(error: BaseException | None) -> BaseException | None:
    """The error, unless it is a mere decision of a handler's, whose message tells all."""
    if not isinstance(error, Reject | Retry):
        return error
    return error if error.__cause__ or error.__context__ else None


def guarded(hook: OnEvent) -> OnEvent:
    """The hook, made harmless: what it raises is logged and goes no further."""

    def emit(event: Event) -> None:
        try:
            hook(event)
        except Exception:
            _LOGGER.exception("the hook failed at %s", type(event).__name__)

    return emit


def _name(event: _OfDelivery) -> str:
    return f"entry {event.entry.entry_id!r} of mailbox {event.entry.mailbox_id!r}"
