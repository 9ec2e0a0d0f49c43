"""Size: large values, large batches, long histories, long listings, and the ends of each range."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.size import batches, histories, listings, ranges, values

checks: tuple[Check, ...] = (
    *values.checks,
    *batches.checks,
    *histories.checks,
    *listings.checks,
    *ranges.checks,
)
