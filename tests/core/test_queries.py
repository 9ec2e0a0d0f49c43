"""Queries: the public ones, and the place of what is refused in one of several."""

from typing import Any

import pytest

import treadle.queries
from treadle import InvalidId, InvalidValue
from treadle.commands import DeleteRun
from treadle.core.queries import Together, check_queries
from treadle.queries import (
    ListCollections,
    ListDocuments,
    ListMessages,
    ListRuns,
    ListThreadSummaries,
    LoadDocuments,
    LoadThreadSummary,
    PageQuery,
    Query,
    TimedQuery,
)
from treadle.testing._harness.extremes import concrete

GOOD = LoadThreadSummary(thread_id="t")


def test_every_query_is_public() -> None:
    public = {getattr(treadle.queries, name) for name in treadle.queries.__all__}
    assert public - {Query, PageQuery, TimedQuery} == set(concrete(Query))


@pytest.mark.parametrize(
    ("query", "place"),
    [
        (ListMessages(thread_id="t", limit="5"), "queries[1].limit"),  # type: ignore[arg-type]
        (ListMessages(thread_id="t", order="up"), "queries[1].order"),  # type: ignore[arg-type]
        (ListRuns(created_at_from=2**70), "queries[1].created_at_from"),
        (ListThreadSummaries(after="x"), "queries[1].after"),
        (LoadDocuments(collection="c", keys=(("a",), ())), "queries[1].keys[1]"),
        (LoadDocuments(collection="c", keys=(("a",),) * 1_001), "queries[1].keys"),
        (ListDocuments(collection="c", before=("\x1f",)), "queries[1].before"),
        (ListCollections(prefix="\0"), "queries[1].prefix"),
        (ListCollections(now=-1), "queries[1].now"),
    ],
)
def test_a_bad_argument_is_refused_by_its_place(query: Query[Any], place: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_queries((GOOD, query))
    assert caught.value.where.startswith(place)


def test_a_bad_id_is_refused_and_its_query_named() -> None:
    with pytest.raises(InvalidId) as caught:
        check_queries((GOOD, GOOD, LoadThreadSummary(thread_id="a/b")))
    assert caught.value.value == "a/b"
    assert caught.value.__notes__ == ["it is in queries[2]"]


class Foreign(LoadThreadSummary, frozen=True, kw_only=True):
    """A query of somebody else's."""


@pytest.mark.parametrize(
    "value",
    [
        None,
        "head",
        LoadThreadSummary,
        DeleteRun(run_id="r"),
        (GOOD,),
        Query(),
        PageQuery(),
        TimedQuery(),
        Together(queries=(GOOD,)),
        Foreign(thread_id="t"),
    ],
)
def test_what_is_no_query_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue, match=r"at queries\[0\]: it must be a query, not a"):
        check_queries((value,))
