"""Workers: they claim entries from mailboxes, run your handler on each, and settle it."""

from treadle.core.run_requests import Answer, Interrupt, RunRequest
from treadle.worker._checks import check_handler
from treadle.worker._clock import Alarm, WorkerClock
from treadle.worker._decision import Reject, Retry, Snooze, TooManyAttempts
from treadle.worker._delivery import Delivery, DeliveryBatch
from treadle.worker._events import (
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
from treadle.worker._executor import AsyncHandler, BlockingHandler, Handler
from treadle.worker._giving_up import OnDeadLetter
from treadle.worker._turn import Reply, TakenRun, Turn
from treadle.worker._worker import Worker
from treadle.worker.backoff import Backoff

__all__ = [
    "Alarm",
    "Answer",
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
    "Interrupt",
    "LeaseLost",
    "OnDeadLetter",
    "OnEvent",
    "Outage",
    "Purged",
    "Reject",
    "Released",
    "Reply",
    "Retried",
    "Retry",
    "RunRequest",
    "Snooze",
    "TakenRun",
    "TooManyAttempts",
    "Turn",
    "Withdrawn",
    "Worker",
    "WorkerClock",
    "check_handler",
    "log_events",
]
