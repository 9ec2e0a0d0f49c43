"""Histories: the calls recorded from tirea, and random ones beside the model."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.history import random_histories, recorded_calls

checks: tuple[Check, ...] = (
    *recorded_calls.checks,
    *random_histories.checks,
)
