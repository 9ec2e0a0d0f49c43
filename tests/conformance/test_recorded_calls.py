"""The vectors are whole, and what compares with them tells apart what differs."""

import pytest

from treadle.testing import TickingClock
from treadle.testing._harness.recorded import SCENARIOS
from treadle.testing._harness.recorded.replay import Comparison, Tokens, read


def test_all_scenarios_are_there() -> None:
    assert len(SCENARIOS) == 30
    assert sum(len(read(path)[0]) for path in SCENARIOS) == 4_800


def test_a_token_has_one_name_and_a_name_one_token() -> None:
    tokens = Tokens()
    assert tokens.matches("$token:1", "a")
    assert tokens.matches("$token:1", "a")
    assert tokens.real("$token:1") == "a"
    assert not tokens.matches("$token:1", "b")
    assert not tokens.matches("$token:2", "a")
    assert not tokens.matches("$token:3", None)
    with pytest.raises(KeyError):
        tokens.real("$token:9")


def test_a_time_is_one_that_the_clock_has_shown() -> None:
    clock = TickingClock(100)
    shown = clock()
    comparison = Comparison(clock)
    expected = {"created_at": "$time", "updated_at": 7}
    assert comparison.differences({"created_at": shown, "updated_at": 7}, expected) == []
    for wrong in (100, shown + 1, float(shown), "$time+", None):
        assert comparison.differences({"created_at": wrong, "updated_at": 7}, expected) != []
    assert comparison.differences({"created_at": shown, "updated_at": 8}, expected) != []
