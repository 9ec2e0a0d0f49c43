"""Stores whose clock runs: attempts are retried, and leases are renewed."""

import pytest

from treadle import Clock, system_clock


@pytest.fixture
def clock() -> Clock:
    """The machine's clock, for `store`."""
    return system_clock
