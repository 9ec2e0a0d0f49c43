"""The checks that every backend passes: a folder for each facet, a file for each topic.

Each check tests one rule and cites the guarantee that the rule belongs to.
"""

from pkgutil import iter_modules

import pytest

# must run before the checks are imported: pytest rewrites an assertion while it loads the module
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from treadle.testing._harness.check import Check  # noqa: E402
from treadle.testing.conformance import (  # noqa: E402
    commit,
    concurrency,
    documents,
    hints,
    history,
    mailboxes,
    runs,
    size,
    threads,
)

SUITE: tuple[Check, ...] = (
    *threads.checks,
    *runs.checks,
    *mailboxes.checks,
    *documents.checks,
    *hints.checks,
    *commit.checks,
    *size.checks,
    *concurrency.checks,
    *history.checks,
)
