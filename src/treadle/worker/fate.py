"""What a settled or lost claim means: as an event, and as the store tells it afterwards."""

from typing import TypeAlias, assert_never

from treadle.core.commands import Ack, DeadLetter, Nack, Release, Settlement
from treadle.core.mailboxes import MailboxEntry
from treadle.worker.events import (
    DeadLettered,
    Done,
    Event,
    LeaseLost,
    Released,
    Retried,
    Withdrawn,
)
from treadle.worker.lease import Lease

Loss: TypeAlias = LeaseLost | Withdrawn


def tell(lease: Lease, settlement: Settlement, cause: BaseException | None = None) -> Event:
    """The event of a claim that was settled; `cause` is what its handler raised."""
    entry, lasted_ms = lease.entry, lease.lasted_ms
    match settlement:
        case Ack():
            return Done(entry=entry, lasted_ms=lasted_ms)
        case Nack(retry_at=retry_at, error=error):
            due = entry.updated_at + lasted_ms if retry_at is None else retry_at
            return Retried(
                entry=entry, lasted_ms=lasted_ms, error=error, retry_at=due, exception=cause
            )
        case DeadLetter(error=error):
            return DeadLettered(entry=entry, lasted_ms=lasted_ms, error=error, exception=cause)
        case Release():
            return Released(entry=entry, lasted_ms=lasted_ms)
        case _:
            assert_never(settlement)


def reason_of(loss: Loss) -> str:
    """Why a claim is not held any more, in words."""
    return loss.reason if isinstance(loss, LeaseLost) else f"it was {loss.status} meanwhile"


def find_fate(lease: Lease, found: MailboxEntry | None) -> Settlement | Loss:
    """What happened to a claim that is not held any more, told from the entry as it is now.

    Each claim raises `attempt_count` and a release takes one back, so an unchanged count says that
    nobody else had the entry since: it was settled with our own token. That is so when a write
    succeeded although its answer was lost, and when a handler settled through the store.
    """
    entry, token = lease.entry, lease.claim_token
    if found is None:
        return LeaseLost(entry=entry, reason="the entry is gone")
    if found.status in ("superseded", "cancelled"):
        return Withdrawn(entry=entry, status=found.status)
    attempts = found.attempt_count - entry.attempt_count
    error = found.last_error or ""
    match found.status, attempts:
        case "accepted", 0:
            return Ack(entry_id=entry.entry_id, claim_token=token)
        case "dead_letter", 0:
            return DeadLetter(entry_id=entry.entry_id, claim_token=token, error=error)
        case "queued", 0:
            due = found.available_at
            return Nack(entry_id=entry.entry_id, claim_token=token, retry_at=due, error=error)
        case "queued", -1:
            return Release(entry_id=entry.entry_id, claim_token=token)
        case "claimed", 0:
            return LeaseLost(entry=entry, reason="it ran out before it was renewed")
        case _:
            return LeaseLost(entry=entry, reason=f"the entry is {found.status} by somebody else")
