"""The reference's 30 scenarios: every call has its result, and the same documents are left."""

from pathlib import Path

import pytest

from tests.clocks import TickingClock
from tests.documents import read_documents
from tests.store.scenarios import (
    SCENARIOS,
    Comparison,
    Tokens,
    compare_files,
    mailbox_ids,
    read,
    replay,
)
from weft import open_store


def test_all_scenarios_are_there() -> None:
    assert len(SCENARIOS) == 30
    assert sum(len(read(path)[0]) for path in SCENARIOS) == 4_800


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_a_scenario_goes_as_with_the_reference(path: Path, store_url: str) -> None:
    calls, files = read(path)
    clock = TickingClock()
    async with open_store(store_url, clock=clock, durability="relaxed") as store:
        comparison = await replay(store, clock, calls)
        documents = await read_documents(store, mailbox_ids(files))
    compare_files(comparison, documents, files)


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
