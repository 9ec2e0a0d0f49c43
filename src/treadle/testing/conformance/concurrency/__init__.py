"""Concurrency: callers are cancelled, processes race and are killed."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.concurrency import cancellation, processes, races

checks: tuple[Check, ...] = (
    *cancellation.checks,
    *races.checks,
    *processes.checks,
)
