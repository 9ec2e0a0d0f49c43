"""Runs: recorded by appends, written as a whole, listed, searched and summed."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.runs import (
    active,
    asking_again,
    listings,
    records,
    searches,
    usage,
)

checks: tuple[Check, ...] = (
    *records.checks,
    *listings.checks,
    *active.checks,
    *searches.checks,
    *usage.checks,
    *asking_again.checks,
)
