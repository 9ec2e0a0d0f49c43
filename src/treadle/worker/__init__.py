"""Workers: they claim entries from mailboxes, run your handler on each, and settle it."""

from treadle.worker.backoff import Backoff
from treadle.worker.clock import Alarm, WorkerClock
from treadle.worker.decision import Reject, Retry, TooManyAttempts
from treadle.worker.delivery import Delivery, DeliveryBatch
from treadle.worker.events import (
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
from treadle.worker.executor import AsyncHandler, BlockingHandler, Handler
from treadle.worker.worker import Worker

__all__ = [
    "Alarm",
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
    "WorkerClock",
    "log_events",
]
