"""Delays grow, have a maximum, and are spread."""

import math
from random import Random
from typing import Any

import pytest

from treadle import InvalidValue
from treadle.worker import Backoff

RANDOM = Random(0)


def test_the_ceiling_grows_by_the_factor_up_to_the_maximum() -> None:
    backoff = Backoff(base_ms=100, factor=3, max_ms=2_000)
    assert [backoff.ceiling_ms(attempt) for attempt in range(1, 6)] == [100, 300, 900, 2_000, 2_000]


@pytest.mark.parametrize("attempt", [-1, 0, 1])
def test_an_attempt_below_1_counts_as_the_first(attempt: int) -> None:
    assert Backoff(base_ms=7).ceiling_ms(attempt) == 7


@pytest.mark.parametrize("factor", [1.0, 1.000001, 2.0, 1e300])
def test_a_very_large_attempt_has_a_ceiling(factor: float) -> None:
    assert 1_000 <= Backoff(factor=factor).ceiling_ms(10**9) <= 300_000


def test_delays_have_full_jitter() -> None:
    delays = {Backoff(base_ms=9, max_ms=9).delay_ms(1, RANDOM) for _ in range(2_000)}
    assert delays == set(range(10))


def test_pauses_are_at_least_half_the_ceiling() -> None:
    pauses = {Backoff(base_ms=9, max_ms=9).pause_ms(1, RANDOM) for _ in range(2_000)}
    assert pauses == {5, 6, 7, 8, 9}


@pytest.mark.parametrize(
    ("base_ms", "factor", "max_ms", "where"),
    [
        (0, 2, 10, "backoff.base_ms"),
        (1, 0.5, 10, "backoff.factor"),
        (1, math.inf, 10, "backoff.factor"),
        (1, math.nan, 10, "backoff.factor"),
        (11, 2, 10, "backoff.max_ms"),
        (1, 2, 2**63, "backoff.max_ms"),
        (1.0, 2, 10, "backoff.base_ms"),
        (True, 2, 10, "backoff.base_ms"),
        ("1", 2, 10, "backoff.base_ms"),
        (1, "2", 10, "backoff.factor"),
        (1, 2, 10.0, "backoff.max_ms"),
        pytest.param(-(10**5_000), 2, 10, "backoff.base_ms", id="5,000 digits below zero"),
        pytest.param(1, -(10**5_000), 10, "backoff.factor", id="a factor far below zero"),
        pytest.param(10**5_000, 2, 10, "backoff.base_ms", id="5,000 digits"),
        pytest.param(1, 2, 10**5_000, "backoff.max_ms", id="at most 5,000 digits"),
    ],
)
def test_settings_out_of_range_are_refused(
    base_ms: Any, factor: Any, max_ms: Any, where: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        Backoff(base_ms=base_ms, factor=factor, max_ms=max_ms)
    assert caught.value.where == where
