"""The checks that every backend passes, by facet; each cites the guarantee it tries."""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from treadle.testing.conformance import (  # noqa: E402
    arrivals,
    batches,
    cancellation,
    claims,
    copies,
    crashes,
    deltas,
    history,
    holds,
    keeping,
    mailboxes,
    messages,
    processes,
    races,
    reference,
    restoring,
    runs,
    settlements,
    threads,
    times,
    values,
    waits,
)
from treadle.testing.conformance.check import Check  # noqa: E402

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
    *times.facet,
    *values.facet,
    *restoring.facet,
    *copies.facet,
    *keeping.facet,
    *crashes.facet,
    *cancellation.facet,
    *races.facet,
    *processes.facet,
    *reference.facet,
    *history.facet,
)
