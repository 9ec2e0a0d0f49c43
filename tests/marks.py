"""Marks: which backends a test runs on; memory, unless it is about what they may do differently."""

import pytest

every_backend = pytest.mark.parametrize(
    "store_url", ["memory", "files", "sqlite", "postgres"], indirect=True
)
"""Runs a test, or those of a class, on a store of every kind."""
