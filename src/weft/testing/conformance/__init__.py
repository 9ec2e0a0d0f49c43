"""The checks that every backend passes, by facet; each cites the guarantee it tries."""

from weft.testing.conformance import (
    arrivals,
    batches,
    cancellation,
    claims,
    copies,
    crashes,
    deltas,
    history,
    holds,
    mailboxes,
    messages,
    processes,
    races,
    reference,
    runs,
    settlements,
    threads,
    waits,
)
from weft.testing.conformance.check import Check

SUITE: tuple[Check, ...] = (
    *threads.facet,
    *messages.facet,
    *deltas.facet,
    *runs.facet,
    *mailboxes.facet,
    *arrivals.facet,
    *claims.facet,
    *settlements.facet,
    *waits.facet,
    *batches.facet,
    *holds.facet,
    *copies.facet,
    *crashes.facet,
    *cancellation.facet,
    *races.facet,
    *processes.facet,
    *reference.facet,
    *history.facet,
)
