"""Runs: recorded by appends, written as a whole, and listed."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.runs import active, listings, records

checks: tuple[Check, ...] = (
    *records.checks,
    *listings.checks,
    *active.checks,
)
