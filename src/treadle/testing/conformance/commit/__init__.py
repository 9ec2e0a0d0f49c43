"""Commits: all or nothing, fenced, timed, exact, isolated and durable."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.commit import (
    batches,
    crashes,
    durability,
    extremes,
    fencing,
    isolation,
    restoring,
    times,
    values,
)

checks: tuple[Check, ...] = (
    *batches.checks,
    *fencing.checks,
    *times.checks,
    *values.checks,
    *extremes.checks,
    *restoring.checks,
    *isolation.checks,
    *durability.checks,
    *crashes.checks,
)
