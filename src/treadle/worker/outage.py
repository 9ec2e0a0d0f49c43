"""What counts as the store being away for a while, and how long to leave it alone then."""

from treadle.errors import StoreUnavailable
from treadle.worker.backoff import Backoff

TRANSIENT = (StoreUnavailable, OSError)
"""Errors after which the same call may succeed; a timeout is an OSError."""

PATIENCE = Backoff(base_ms=100, factor=2.0, max_ms=5_000)
"""How long a worker waits between two calls to a store that is away."""
