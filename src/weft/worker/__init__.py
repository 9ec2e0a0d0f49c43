"""Workers: they take entries out of mailboxes, run your handler, and see each to its outcome."""

from weft.worker.backoff import Backoff
from weft.worker.decision import Reject, Retry, TooManyAttempts
from weft.worker.delivery import Delivery, DeliveryBatch
from weft.worker.events import (
    Claimed,
    DeadLettered,
    Done,
    Event,
    LeaseLost,
    OnEvent,
    Outage,
    Purged,
    Released,
    Retried,
    Withdrawn,
    log_events,
)
from weft.worker.executor import AsyncHandler, BlockingHandler, Handler
from weft.worker.worker import Worker

__all__ = [
    "AsyncHandler",
    "Backoff",
    "BlockingHandler",
    "Claimed",
    "DeadLettered",
    "Delivery",
    "DeliveryBatch",
    "Done",
    "Event",
    "Handler",
    "LeaseLost",
    "OnEvent",
    "Outage",
    "Purged",
    "Reject",
    "Released",
    "Retried",
    "Retry",
    "TooManyAttempts",
    "Withdrawn",
    "Worker",
    "log_events",
]
