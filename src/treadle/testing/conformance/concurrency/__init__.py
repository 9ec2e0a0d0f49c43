"""Concurrency: callers are cancelled, reads are of one moment, processes race and are killed."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.concurrency import cancellation, processes, races, snapshots

checks: tuple[Check, ...] = (
    *cancellation.checks,
    *races.checks,
    *processes.checks,
    *snapshots.checks,
)
