"""Listings of runs: filters, order and pages."""

from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME, SMALLEST_INTEGER
from treadle.testing._harness.builders import run
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)


RUNS = (
    run("a", "t", created_at=30, updated_at=30, status="done", termination_code="error"),
    run("b", "t", created_at=10, updated_at=50, parent_run_id="a", origin="subagent"),
    run("c", "u", created_at=20, updated_at=20, status="waiting"),
    run("d", "u", created_at=10, updated_at=40, parent_run_id="a"),
)
LISTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "oldest first, then by id": ({}, "bdca"),
    "of a thread": ({"thread_id": "t"}, "ba"),
    "of a parent": ({"parent_run_id": "a"}, "bd"),
    "in a status": ({"status": "running"}, "bd"),
    "of an origin": ({"origin": "subagent"}, "b"),
    "ended with a code": ({"termination_code": "error"}, "a"),
    "created from, inclusive": ({"created_at_from": 20}, "ca"),
    "created to, inclusive": ({"created_at_to": 20}, "bdc"),
    "updated from, inclusive": ({"updated_at_from": 40}, "bd"),
    "updated to, inclusive": ({"updated_at_to": 30}, "ca"),
    "created between": ({"created_at_from": 15, "created_at_to": 25}, "c"),
    "updated at": ({"updated_at_from": 40, "updated_at_to": 40}, "d"),
    "created within the longest span": (
        {"created_at_from": SMALLEST_INTEGER, "created_at_to": LARGEST_TIME},
        "bdca",
    ),
    "updated from beyond every time": ({"updated_at_from": LARGEST_TIME}, ""),
    "all at once": ({"thread_id": "t", "parent_run_id": "a", "status": "running"}, "b"),
    "nothing": ({"thread_id": "x"}, ""),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=LISTINGS)
async def runs_are_listed(store: Store, query: dict[str, Any], expected: str) -> None:
    for each in RUNS:
        await store.runs.upsert(each)
    page = await store.runs.list(**query)
    by_id = {each.run_id: each for each in RUNS}
    expect([each.run_id for each in page.items], list(expected))
    expect(page.items, tuple(by_id[key] for key in expected))
    expect((page.total, page.has_more), (len(expected), False))


PAGES = [
    (0, 2, "bd", True),
    (2, 2, "ca", False),
    (3, 9, "a", False),
    (9, 2, "", False),
    (-1, 1, "b", True),
    (0, 0, "b", True),
    (0, LARGEST_TIME, "bdca", False),
    (LARGEST_TIME, 2, "", False),
]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_runs_has_the_total_and_says_if_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    for each in RUNS:
        await store.runs.upsert(each)
    page = await store.runs.list(offset=offset, limit=limit)
    found = "".join(each.run_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_filtered_page_of_runs_has_the_total_of_its_filter(store: Store) -> None:
    for each in RUNS:
        await store.runs.upsert(each)
    for offset, expected, has_more in ((0, ["b"], True), (1, ["d"], False)):
        page = await store.runs.list(parent_run_id="a", limit=1, offset=offset)
        expect([each.run_id for each in page.items], expected)
        expect((page.total, page.has_more), (2, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def runs_of_one_time_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for key in ("b", "🧵", "a", "B", "\ufb00"):
        await store.runs.upsert(run(key, created_at=1))
    page = await store.runs.list()
    expect([each.run_id for each in page.items], ["B", "a", "b", "\ufb00", "🧵"])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_runs_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.runs.upsert(run(f"r{number:03}"))
    page = await store.runs.list(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_a_run_that_is_replaced(store: Store) -> None:
    await store.runs.upsert(run("r", "t", created_at=1, parent_run_id="a"))
    await store.runs.upsert(run("r", "u", created_at=2, status="done", origin="internal"))
    gone: list[dict[str, Any]] = [
        {"thread_id": "t"},
        {"parent_run_id": "a"},
        {"status": "running"},
        {"origin": "user"},
        {"created_at_to": 1},
    ]
    for query in gone:
        expect((await store.runs.list(**query)).total, 0)
    found = await store.runs.list(thread_id="u", status="done", origin="internal")
    expect(found.total, 1)
