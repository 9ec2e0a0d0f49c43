"""Tools and suites for those who test on Weft, or write a backend for it: `weft[testing]`."""

import pytest

pytest.register_assert_rewrite("weft.testing.conformance")

from weft.testing.backend_conformance import BackendConformance  # noqa: E402
from weft.testing.certification import Outcome, Report, certify  # noqa: E402
from weft.testing.clock import ManualClock, TickingClock  # noqa: E402
from weft.testing.subject import Subject  # noqa: E402

__all__ = [
    "BackendConformance",
    "ManualClock",
    "Outcome",
    "Report",
    "Subject",
    "TickingClock",
    "certify",
]
