"""Documents: written, guarded, expired, removed in ranges, and listed."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.documents import expiry, guards, listings, ranges, writes

checks: tuple[Check, ...] = (
    *writes.checks,
    *guards.checks,
    *expiry.checks,
    *ranges.checks,
    *listings.checks,
)
