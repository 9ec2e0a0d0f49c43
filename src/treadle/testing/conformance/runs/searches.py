"""Searches for runs: orders, filters, pages by cursors, and counts."""

from typing import Any

from treadle import InvalidValue, RunKey, RunRecord, RunStats, RunStatus, Store, Thread
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.core.pages import Order
from treadle.core.restoring import RestoreRun
from treadle.core.runs import RunMeta
from treadle.testing._harness.builders import run, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

OWNERS = {"t": "x", "u": "y", "v": None}
RUNS: dict[str, tuple[int, int, RunStatus, str, str]] = {
    # id: created, updated, status, thread, agent
    "a": (5, 9, "done", "t", "one"),
    "b": (4, 9, "running", "t", "two"),
    "c": (4, 10, "waiting", "u", "one"),
    "\U0001f9f5": (4, 12, "done", "u", "two"),
    "\ufb00": (LARGEST_TIME, LARGEST_TIME, "done", "t", "one"),
    "d": (0, 7, "running", "v", "one"),
    "e": (0, 0, "waiting", "gone", "one"),
}
ORDERS: dict[RunKey, str] = {
    "created_at": "debc\U0001f9f5a\ufb00",
    "updated_at": "edabc\U0001f9f5\ufb00",
}


async def _fill(store: Store) -> None:
    async with store.batch() as step:
        for key, owner in OWNERS.items():
            step.threads.create(Thread(id=key, resource_id=owner))
    for key, (created, updated, status, thread, agent) in RUNS.items():
        times = {"created_at": created, "updated_at": updated}
        parent = "a" if key in "bc" else None
        origin = "subagent" if parent else "user"
        fields: dict[str, Any] = {"status": status, "agent_id": agent, "origin": origin, **times}
        if key in "ce":
            fields["metadata"] = {"asks": key == "c"}
        restored = run(key, thread, parent_run_id=parent, **fields)
        await store.commit((RestoreRun(run=restored),))


async def _ids(store: Store, **arguments: Any) -> str:
    """The ids of all pages, one after the other."""
    found: list[RunRecord] = []
    page = await store.runs.search(**arguments)
    while True:
        found += page.items
        if page.next_cursor is None:
            return "".join(each.run_id for each in found)
        assert page.items, "a page has a cursor, and no items"
        page = await store.runs.search(**arguments, after=page.next_cursor)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_search_for_runs_begins_with_the_newest(store: Store) -> None:
    await _fill(store)
    page = await store.runs.search(limit=3)
    expect([each.run_id for each in page.items], ["\ufb00", "a", "\U0001f9f5"])
    expect(page.items[1], await store.runs.load("a"))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=ORDERS)
async def runs_are_searched_in_their_order_in_pages_of_any_size(store: Store, ordered: str) -> None:
    await _fill(store)
    by = next(key for key, ids in ORDERS.items() if ids == ordered)
    directions: dict[Order, str] = {"asc": ordered, "desc": ordered[::-1]}
    for order, ids in directions.items():
        for limit in (1, 2, 3, 7, 200):
            expect(await _ids(store, by=by, order=order, limit=limit), ids)


FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "thread": ({"thread_id": "t"}, "ab\ufb00"),
    "a thread without a row": ({"thread_id": "gone"}, "e"),
    "owner": ({"resource_id": "x"}, "ab\ufb00"),
    "nobody": ({"resource_id": "z"}, ""),
    "agent": ({"agent_id": "two"}, "b\U0001f9f5"),
    "a status": ({"statuses": ("running",)}, "bd"),
    "two statuses": ({"statuses": ("running", "waiting")}, "bcde"),
    "a status twice": ({"statuses": ("done", "done")}, "a\U0001f9f5\ufb00"),
    "no status": ({"statuses": ()}, ""),
    "parent": ({"parent_run_id": "a"}, "bc"),
    "parent and owner": ({"parent_run_id": "a", "resource_id": "y"}, "c"),
    "parent and thread": ({"parent_run_id": "a", "thread_id": "t"}, "b"),
    "parent and statuses": ({"parent_run_id": "a", "statuses": ("waiting", "done")}, "c"),
    "origin": ({"origin": "subagent"}, "bc"),
    "owner and statuses": ({"resource_id": "y", "statuses": ("waiting", "running")}, "c"),
    "owner and agent": ({"resource_id": "y", "agent_id": "two"}, "\U0001f9f5"),
    "thread and statuses": ({"thread_id": "t", "statuses": ("done",)}, "a\ufb00"),
    "owner and thread": ({"resource_id": "x", "thread_id": "t"}, "ab\ufb00"),
    "owner and another's thread": ({"resource_id": "x", "thread_id": "u"}, ""),
    "an answer is awaited": ({"asks": True}, "c"),
    "other work is awaited": ({"asks": False}, "e"),
    "other work is awaited, and owner": ({"asks": False, "resource_id": "y"}, ""),
    "an answer is awaited, and statuses": ({"asks": True, "statuses": ("done", "waiting")}, "c"),
    "an answer is awaited, and no status": ({"asks": True, "statuses": ()}, ""),
    "an answer is awaited by those that are done": ({"asks": True, "statuses": ("done",)}, ""),
    "an answer is awaited, and thread": ({"asks": True, "thread_id": "u"}, "c"),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=FILTERS)
async def runs_are_filtered_in_every_order(store: Store, filters: dict[str, Any], ids: str) -> None:
    await _fill(store)
    for by, ordered in ORDERS.items():
        expected = "".join(key for key in ordered if key in ids)
        for limit in (1, 50):
            expect(await _ids(store, by=by, order="asc", limit=limit, **filters), expected)
            expect(await _ids(store, by=by, limit=limit, **filters), expected[::-1])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_last_page_of_a_search_has_no_cursor_whatever_follows_that_does_not_match(
    store: Store,
) -> None:
    await _fill(store)
    page = await store.runs.search(agent_id="two", order="asc", limit=2)
    expect([each.run_id for each in page.items], ["b", "\U0001f9f5"])
    expect(page.next_cursor, None)
    page = await store.runs.search(by="updated_at", agent_id="two", order="asc", limit=2)
    expect(page.next_cursor, None)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_search_follows_appends_and_deletions(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t", resource_id="x"))
    for key in "abc":
        clock.now += 1
        await store.threads.append("t", says(key, run_id=key, run_meta=RunMeta()))
    newest: dict[str, Any] = {"by": "updated_at", "resource_id": "x"}
    expect(await _ids(store, **newest), "cba")
    clock.now += 1
    await store.threads.append("t", says("more", run_id="a", run_meta=RunMeta(status="done")))
    expect(await _ids(store, **newest), "acb")
    expect(await _ids(store, **newest, statuses=("running",)), "cb")
    clock.now += 1
    await store.threads.append("t", says("more", run_id="b"))
    expect(await _ids(store, **newest), "bac")
    await store.runs.delete("a")
    expect(await _ids(store, **newest), "bc")
    expect(await _ids(store), "cb")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_owner_of_a_run_is_that_of_its_thread_at_present(store: Store) -> None:
    await store.runs.upsert(run("r"))
    expect(await _ids(store, resource_id="x"), "")
    await store.threads.create(Thread(id="t", resource_id="x"))
    expect(await _ids(store, resource_id="x"), "r")
    await store.threads.update("t", resource_id="y")
    expect(await _ids(store, resource_id="x"), "")
    expect(await _ids(store, resource_id="y"), "r")
    await store.threads.save(Thread(id="t", resource_id="z"))
    expect(await _ids(store, resource_id="z"), "r")
    await store.threads.save(Thread(id="t"))
    expect(await _ids(store, resource_id="z"), "")
    async with store.batch() as step:
        step.runs.upsert(run("s"))
        step.threads.update("t", resource_id="x")
        step.threads.append("t", says("x", run_id="u", run_meta=RunMeta()))
    expect(sorted(await _ids(store, resource_id="x")), ["r", "s", "u"])
    await store.runs.upsert(run("s", "other"))
    expect(sorted(await _ids(store, resource_id="x", by="updated_at")), ["r", "u"])
    await store.threads.delete("t")
    expect(await _ids(store, resource_id="x"), "")
    expect(sorted(await _ids(store)), ["r", "s", "u"])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_search_for_runs_finds_at_most_200_at_a_time(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.runs.upsert(run(f"r{number:03}"))
    page = await store.runs.search(limit=500)
    expect((len(page.items), page.next_cursor is None), (200, False))
    expect(len((await store.runs.search(limit=0)).items), 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_cursor_of_a_search_stays_good_when_its_run_is_deleted(store: Store) -> None:
    await _fill(store)
    first = await store.runs.search(limit=2)
    await store.runs.delete("a")
    rest = await store.runs.search(after=first.next_cursor)
    expect("".join(each.run_id for each in rest.items), "\U0001f9f5cbed")
    with refused(InvalidValue) as caught:
        await store.runs.search(by="updated_at", after=first.next_cursor)
    expect(caught.value.where, "search.after")


COUNTS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "all": ({}, (2, 2, 3)),
    "of a thread": ({"thread_id": "t"}, (1, 0, 2)),
    "of an owner": ({"resource_id": "y"}, (0, 1, 1)),
    "of an owner's thread": ({"resource_id": "x", "thread_id": "t"}, (1, 0, 2)),
    "of nobody": ({"resource_id": "z"}, (0, 0, 0)),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=COUNTS)
async def runs_are_counted_by_status(
    store: Store, filters: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    await _fill(store)
    running, waiting, done = expected
    stats = RunStats(running=running, waiting=waiting, done=done)
    expect(await store.runs.count(**filters), stats)
