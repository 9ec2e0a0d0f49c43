"""Threads: written, listed, read in pages, and followed by deltas."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.threads import (
    deltas,
    edits,
    forks,
    guards,
    listings,
    message_times,
    messages,
    old,
    past,
    states,
    summary_listings,
    updates,
    writes,
)

checks: tuple[Check, ...] = (
    *writes.checks,
    *guards.checks,
    *summary_listings.checks,
    *updates.checks,
    *listings.checks,
    *messages.checks,
    *message_times.checks,
    *edits.checks,
    *forks.checks,
    *deltas.checks,
    *past.checks,
    *old.checks,
    *states.checks,
)
