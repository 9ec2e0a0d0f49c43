"""Runs: recorded by appends, put as a whole, listed."""

from typing import Any

from treadle import NotFound, RunMeta, RunRecord, Store, Thread, VersionConflict
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_INTEGER, SMALLEST_INTEGER
from treadle.testing.builders import loaded_run, run, says
from treadle.testing.clock import ManualClock
from treadle.testing.conformance.check import Facet
from treadle.testing.expect import expect, refused

facet = Facet("runs")


FULL_META = RunMeta(
    agent_id="writer",
    origin="a2a",
    status="waiting",
    parent_thread_id="p",
    termination_code="error",
    termination_detail="so",
    source_mailbox_entry_id="e",
    input_tokens=3,
    output_tokens=4,
)


def full_run(thread_id: str, **fields: Any) -> RunRecord:
    """The record that `FULL_META` makes."""
    known: dict[str, Any] = {name: getattr(FULL_META, name) for name in RunMeta.__struct_fields__}
    return run("r", thread_id, **known | fields)


async def active_id(store: Store, thread_id: str = "t") -> str | None:
    active = await store.runs.active(thread_id)
    return None if active is None else active.run_id


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_with_run_meta_records_its_run(store: Store, clock: ManualClock) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=FULL_META))
    now = clock.now
    expected = full_run("t", parent_run_id="q", created_at=now, updated_at=now)
    expect(await loaded_run(store), expected)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_later_append_tells_all_of_its_run_anew_but_where_it_came_from(
    store: Store, clock: ManualClock
) -> None:
    for thread_id in ("t", "u"):
        await store.threads.create(Thread(id=thread_id))
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=FULL_META))
    created_at = clock.now
    clock.now += 10
    await store.threads.append("u", says("x", run_id="r", run_meta=RunMeta()))
    kept = {"parent_run_id": "q", "parent_thread_id": "p", "source_mailbox_entry_id": "e"}
    expected = run("r", "u", created_at=created_at, updated_at=clock.now, **kept)
    expect(await loaded_run(store), expected)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_first_writer_of_parents_and_source_wins(store: Store) -> None:
    await store.threads.create(Thread(id="t"))

    def changes(parent: str, meta: RunMeta) -> Any:
        return says("x", run_id="r", parent_run_id=parent, run_meta=meta)

    first = RunMeta(parent_thread_id="p1", source_mailbox_entry_id="e1", termination_code="a")
    second = RunMeta(parent_thread_id="p2", source_mailbox_entry_id="e2", status="done")
    await store.threads.append("t", changes("q1", first))
    await store.threads.append("t", changes("q2", second))
    found = await loaded_run(store)
    expect(found.parent_run_id, "q1")
    expect(found.parent_thread_id, "p1")
    expect(found.source_mailbox_entry_id, "e1")
    expect(found.status, "done")
    expect(found.termination_code, None)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_parent_that_comes_later_is_taken_if_there_was_none(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()))
    meta = RunMeta(parent_thread_id="p", source_mailbox_entry_id="e")
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q", run_meta=meta))
    found = await loaded_run(store)
    expect(found.parent_run_id, "q")
    expect(found.parent_thread_id, "p")
    expect(found.source_mailbox_entry_id, "e")


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_without_run_meta_moves_updated_at_of_a_run_that_is_there(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t"))
    before = run("r", status="waiting", created_at=1, updated_at=2, metadata={"a": 1})
    await store.runs.upsert(before)
    await store.threads.append("t", says("x", run_id="r", parent_run_id="q"))
    expected = run("r", status="waiting", created_at=1, updated_at=clock.now, metadata={"a": 1})
    expect(await loaded_run(store), expected)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_without_run_meta_makes_no_run(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r"))
    expect(await store.runs.load("r"), None)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_with_an_empty_run_id_touches_no_run(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="", run_meta=RunMeta(agent_id="a")))
    expect((await store.runs.list()).total, 0)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def an_append_keeps_created_at_metadata_and_unknown_fields_of_its_run(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r", "s", created_at=5, metadata=[1], extra={"later": 1}))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta(agent_id="b")))
    kept: dict[str, Any] = {"created_at": 5, "metadata": [1], "extra": {"later": 1}}
    expected = run("r", "t", agent_id="b", updated_at=clock.now, **kept)
    expect(await loaded_run(store), expected)


@facet.check(Guarantee.ALL_OR_NOTHING)
async def an_append_that_fails_leaves_the_run_alone(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    changes = says("x", run_id="r", run_meta=RunMeta())
    with refused(VersionConflict):
        await store.threads.append("t", changes, expected=5)
    with refused(NotFound):
        await store.threads.append("u", changes)
    expect(await store.runs.load("r"), None)


@facet.check(Guarantee.VALUES_ARE_KEPT)
async def an_upsert_puts_the_record_as_it_is(store: Store) -> None:
    first = run("r", parent_run_id="q", status="done", created_at=1, metadata={"a": 1.0})
    await store.runs.upsert(first)
    expect(await store.runs.load("r"), first)
    second = run("r", "u", created_at=2)
    await store.runs.upsert(second)
    expect(await store.runs.load("r"), second)
    expect((await store.runs.list()).total, 1)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_is_not_there_is_none(store: Store) -> None:
    expect(await store.runs.load("r"), None)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_deleted_run_is_gone_and_its_thread_stays(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(run("r"))
    expect(await store.runs.delete("r"), True)
    expect(await store.runs.delete("r"), False)
    expect(await store.runs.load("r"), None)
    expect((await store.runs.list()).total, 0)
    assert await store.threads.load("t") is not None


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
        {"created_at_from": SMALLEST_INTEGER, "created_at_to": LARGEST_INTEGER},
        "bdca",
    ),
    "updated from beyond every time": ({"updated_at_from": LARGEST_INTEGER}, ""),
    "all at once": ({"thread_id": "t", "parent_run_id": "a", "status": "running"}, "b"),
    "nothing": ({"thread_id": "x"}, ""),
}


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE, each=LISTINGS)
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
    (0, LARGEST_INTEGER, "bdca", False),
    (LARGEST_INTEGER, 2, "", False),
]


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_runs_says_how_many_there_are_and_whether_more_follow(
    store: Store, offset: int, limit: int, items: str, has_more: bool
) -> None:
    for each in RUNS:
        await store.runs.upsert(each)
    page = await store.runs.list(offset=offset, limit=limit)
    found = "".join(each.run_id for each in page.items)
    expect((found, page.total, page.has_more), (items, 4, has_more))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_some_runs_counts_those(store: Store) -> None:
    for each in RUNS:
        await store.runs.upsert(each)
    for offset, expected, has_more in ((0, ["b"], True), (1, ["d"], False)):
        page = await store.runs.list(parent_run_id="a", limit=1, offset=offset)
        expect([each.run_id for each in page.items], expected)
        expect((page.total, page.has_more), (2, has_more))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def runs_as_old_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for key in ("b", "🧵", "a", "B", "\ufb00"):
        await store.runs.upsert(run(key, created_at=1))
    page = await store.runs.list()
    expect([each.run_id for each in page.items], ["B", "a", "b", "\ufb00", "🧵"])


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_runs_has_200_at_most(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.runs.upsert(run(f"r{number:03}"))
    page = await store.runs.list(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))


@facet.check(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_a_run_that_is_put_anew(store: Store) -> None:
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


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_active_run_is_the_newest_that_is_not_done(store: Store) -> None:
    expect(await store.runs.active("t"), None)
    await store.runs.upsert(run("a", created_at=10))
    await store.runs.upsert(run("b", created_at=20, status="waiting"))
    await store.runs.upsert(run("c", created_at=30, status="done"))
    await store.runs.upsert(run("d", "u", created_at=40))
    expect(await active_id(store), "b")


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def of_active_runs_as_old_the_greater_id_is_the_newest(store: Store) -> None:
    for key in "bca":
        await store.runs.upsert(run(key, created_at=10))
    expect(await active_id(store), "c")


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_is_done_is_not_active_any_more(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()))
    expect(await store.runs.active("t"), await store.runs.load("r"))
    await store.threads.append("t", says("y", run_id="r", run_meta=RunMeta(status="done")))
    expect(await store.runs.active("t"), None)


@facet.check(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_is_put_on_another_thread_is_active_there(store: Store) -> None:
    await store.runs.upsert(run("old", "t", created_at=1))
    await store.runs.upsert(run("r", "t", created_at=2))
    await store.runs.upsert(run("r", "u", created_at=2))
    expect((await active_id(store, "t"), await active_id(store, "u")), ("old", "r"))
    await store.runs.delete("r")
    expect(await active_id(store, "u"), None)
