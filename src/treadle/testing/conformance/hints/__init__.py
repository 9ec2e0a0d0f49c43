"""Hints, and live values: who listens hears of every change, and who follows misses nothing."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.hints import changes, following, live, processes

checks: tuple[Check, ...] = (
    *changes.checks,
    *following.checks,
    *live.checks,
    *processes.checks,
)
