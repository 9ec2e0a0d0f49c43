"""Hints: who listens hears of every change, and who follows a thread gets each version once."""

from treadle.testing._harness.check import Check
from treadle.testing.conformance.hints import changes, following, processes

checks: tuple[Check, ...] = (*changes.checks, *following.checks, *processes.checks)
