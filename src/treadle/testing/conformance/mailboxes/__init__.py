"""Mailboxes: work is sent, claimed, settled, waited for and ended."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.mailboxes import (
    claims,
    closing,
    endings,
    enqueue,
    explaining,
    holders,
    leases,
    listings,
    order,
    pauses,
    purge,
    reporting,
    requeue,
    searches,
    settlements,
    summaries,
    taking,
    waits,
)

checks: tuple[Check, ...] = (
    *enqueue.checks,
    *claims.checks,
    *settlements.checks,
    *order.checks,
    *pauses.checks,
    *leases.checks,
    *taking.checks,
    *holders.checks,
    *waits.checks,
    *explaining.checks,
    *endings.checks,
    *closing.checks,
    *requeue.checks,
    *purge.checks,
    *listings.checks,
    *searches.checks,
    *summaries.checks,
    *reporting.checks,
)
