"""The events of a worker: frozen values that a hook receives. Logging is such a hook.

The event for the end of a claim comes when its handler has returned, although a batch of the
handler may have settled the entry earlier. So a retry may be claimed, with its own event, before.
"""

import logging
from collections.abc import Callable
from typing import TypeAlias, assert_never

import msgspec

from treadle.core.mailboxes import EntryStatus, MailboxEntry
from treadle.worker._decision import is_decision
from treadle.worker._failures import describe_error, is_of_process

_LOGGER = logging.getLogger("treadle.worker")


class _OfDelivery(msgspec.Struct, frozen=True, kw_only=True):
    entry: MailboxEntry
    """The entry as it was claimed."""


class _Ended(_OfDelivery, frozen=True, kw_only=True):
    lasted_ms: int
    """Milliseconds since the claim."""


class Claimed(_OfDelivery, frozen=True, kw_only=True):
    """The worker has claimed an entry, and the handler is about to start, or has asked for it."""


class Done(_Ended, frozen=True, kw_only=True):
    """The entry is accepted."""


class Retried(_Ended, frozen=True, kw_only=True):
    """The handler failed; the entry is due again at `retry_at` (unix milliseconds)."""

    error: str
    """The text that is stored in `MailboxEntry.last_error`."""
    retry_at: int
    """When the entry is due again, in unix milliseconds."""
    exception: BaseException | None = None
    """What the handler raised; None if one of its batches settled the entry."""


class DeadLettered(_Ended, frozen=True, kw_only=True):
    """The entry failed permanently."""

    error: str
    """The text that is stored in `MailboxEntry.last_error`."""
    exception: BaseException | None = None
    """What the handler raised; None if one of its batches settled the entry."""


class Released(_Ended, frozen=True, kw_only=True):
    """The entry was released unfinished; the attempt does not count."""

    reason: str = ""
    """Why, if the handler has raised `Snooze`: the text in `MailboxEntry.last_error`."""
    retry_at: int | None = None
    """When the entry is due again, in unix milliseconds; None: when it was due before."""


class LeaseLost(_OfDelivery, frozen=True, kw_only=True):
    """The worker lost its claim. The handler is cancelled, and can write nothing."""

    reason: str
    """Why the claim was lost."""


class Withdrawn(_OfDelivery, frozen=True, kw_only=True):
    """Another caller ended the entry, and the handler is cancelled."""

    status: EntryStatus
    """Either "superseded" (the mailbox was interrupted, or the entry replaced) or "cancelled"."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """The store failed at `operation`; the worker tries again in `retry_in_ms` milliseconds."""

    operation: str
    """One of "claim", "renew", "settle", "take", "watch" and "purge"."""
    error: Exception
    """What the store raised."""
    retry_in_ms: int
    """Milliseconds until the worker tries again."""


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """The worker removed `count` entries that had ended before `ended_before` (unix milliseconds).

    With them went `documents` documents that had expired.
    """

    count: int
    ended_before: int
    documents: int = 0


Event: TypeAlias = (
    Claimed | Done | Retried | DeadLettered | Released | LeaseLost | Withdrawn | Outage | Purged
)
"""Every event of a worker."""

OnEvent: TypeAlias = Callable[[Event], None]
"""A hook. It is called on the worker's event loop, so it must not block."""


def log_events(event: Event) -> None:
    """Write an event to the standard logger `treadle.worker`. This is the default hook.

    A record about an entry has the attributes `entry_id` and `mailbox_id`, for formatters.
    """
    # Most entries have these two events only, and nobody wants records of them.
    if (
        isinstance(event, (Claimed, Done))
        and event.entry.attempt_count <= 1
        and not _LOGGER.isEnabledFor(logging.DEBUG)
    ):
        return
    level, message, values = _record_of(event)
    if not _LOGGER.isEnabledFor(level):
        return
    about: dict[str, str] = {}
    if isinstance(event, _OfDelivery):
        about = {"entry_id": event.entry.entry_id, "mailbox_id": event.entry.mailbox_id}
    failed = event.exception if isinstance(event, Retried | DeadLettered) else None
    _LOGGER.log(level, message, *values, exc_info=_with_traceback(failed), extra=about)


def _record_of(event: Event) -> tuple[int, str, tuple[object, ...]]:
    """Return the level of an event, its message, and the values of that."""
    match event:
        case Claimed(entry=entry):
            level = logging.INFO if entry.attempt_count > 1 else logging.DEBUG
            message = "claimed entry %r of mailbox %r, attempt %d"
            return level, message, (*_names(event), entry.attempt_count)
        case Done():
            message = "done with entry %r of mailbox %r after %d ms"
            return logging.DEBUG, message, (*_names(event), event.lasted_ms)
        case Retried(entry=entry, error=error):
            message = (
                "attempt %d of entry %r of mailbox %r failed, the next one is due in %d ms: %s"
            )
            due_in_ms = max(event.retry_at - entry.updated_at - event.lasted_ms, 0)
            values = (entry.attempt_count, *_names(event), due_in_ms, error)
            return logging.WARNING, message, values
        case DeadLettered(entry=entry, error=error):
            message = "entry %r of mailbox %r is a dead letter at attempt %d: %s"
            return logging.ERROR, message, (*_names(event), entry.attempt_count, error)
        case Released(entry=entry, retry_at=int(retry_at)):
            message = "entry %r of mailbox %r is put off, it is due in %d ms: %s"
            due_in_ms = max(retry_at - entry.updated_at - event.lasted_ms, 0)
            return logging.INFO, message, (*_names(event), due_in_ms, event.reason)
        case Released():
            message = "released entry %r of mailbox %r after %d ms"
            return logging.INFO, message, (*_names(event), event.lasted_ms)
        case LeaseLost():
            message = "lost the lease of entry %r of mailbox %r: %s"
            return logging.WARNING, message, (*_names(event), event.reason)
        case Withdrawn():
            message = "entry %r of mailbox %r was %s while its handler ran"
            return logging.INFO, message, (*_names(event), event.status)
        case Outage(error=failure):
            message = "the store cannot %s, next try in %d ms: %s"
            reason = describe_error(failure)
            return logging.WARNING, message, (event.operation, event.retry_in_ms, reason)
        case Purged():
            message = "purged %d entries that ended before %d, and %d documents that had expired"
            return logging.INFO, message, (event.count, event.ended_before, event.documents)
        case _:
            assert_never(event)


def _with_traceback(error: BaseException | None) -> BaseException | None:
    """Return the error, or None if it is only a handler's decision, whose message says it all."""
    return None if error is None or is_decision(error) else error


def guarded(hook: OnEvent) -> OnEvent:
    """Wrap a hook so that an exception that it raises is logged and goes no further."""

    def emit(event: Event) -> None:
        try:
            hook(event)
        except BaseException as error:
            if is_of_process(error):
                raise
            _LOGGER.exception("the hook failed at %s", type(event).__name__)

    return emit


def _names(event: _OfDelivery) -> tuple[str, str]:
    return event.entry.entry_id, event.entry.mailbox_id
