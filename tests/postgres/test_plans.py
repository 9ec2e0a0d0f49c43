"""Plans: hot statements use the index that is meant for them, whatever the planner has last seen.

A drained queue leaves dead rows behind in every status. A statement that searches by status reads
them all, and becomes slower with each entry.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import psycopg.sql
import pytest

from treadle import Message, Thread, ThreadChangeSet, open_store
from treadle.backends._damage import DamageLog
from treadle.backends.postgres._settings import READING_SETTINGS, SETTINGS
from treadle.backends.postgres._statements import Queries, Query
from treadle.backends.postgres.location import Location, parse_location
from treadle.backends.sql._mailboxes import search_entries
from treadle.backends.sql._threads import list_summaries
from treadle.backends.sql.program import Read, Statement, Write
from treadle.core.cursors import Position, cursor_of
from treadle.core.mailbox_queries import SearchEntries
from treadle.core.pages import Order
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import ListThreadSummaries, ThreadKey

BOXES = 2_000
LISTINGS = re.compile(
    r".*_(in_status|by_age|of_mailbox|of_parent|of_resource|of_thread|of_owner|by_creation|by_update)"
)
ROWS: dict[str, dict[str, object]] = {
    "update_entry": {"entry_id": "e", "status": "accepted", "updated_at": 1},
    "update_claim": {"entry_id": "e", "status": "accepted", "updated_at": 1},
    "refresh_lease": {"mailbox_id": "box 1"},
    "block_heads": {"mailbox_id": "box 1"},
    "remove_head": {"mailbox_id": "box 1", "priority": 0, "entry_id": "e"},
    "promote_head": {"mailbox_id": "box 1", "priority": 0},
    "upsert_head": {"mailbox_id": "box 1", "priority": 0, "entry_id": "e"},
    "update_thread": {"thread_id": "t", "version": 1},
    "insert_message": {"thread_id": "t", "position": 1, "body": "{}"},
    "insert_delta": {"thread_id": "t", "version": 1, "committed_at": 1, "body": "{}"},
    "update_run": {"run_id": "r"},
    "update_mailbox": {"mailbox_id": "box 1"},
    "refresh_wakes": {},
}
IDS = '["box 1", "box 2"]'
READS: dict[str, dict[str, object]] = {
    "load_mailboxes_for_update": {"ids": IDS, "entries": IDS},
    "load_labels": {"ids": IDS},
    "load_thread_summary": {"thread_id": "t"},
    "load_newest_messages": {"ids": IDS, "number": 1},
    "load_threads_for_update": {"ids": IDS},
    "load_runs_for_update": {"ids": IDS},
    "load_runs_of_settled": {"ids": IDS, "entries": IDS},
    "load_runs_of_entries": {
        "ids": IDS,
        "entries": IDS,
        "mailboxes": IDS,
        "pairs": '[["box 1", "k"]]',
        "threads": IDS,
    },
    "load_entries": {"ids": IDS},
    "load_claims": {"ids": IDS},
    "load_claimed_beside": {"ids": IDS, "mailboxes": IDS},
    "load_unfinished": {"ids": IDS},
    "load_mailbox_of_entry": {"entry_id": "e"},
    "load_waiting": {"ids": IDS, "mailboxes": IDS, "number": 10},
    "load_duplicates": {"pairs": '[["box 1", "k"]]'},
    "load_message_ids": {"pairs": '[["t", "m"]]'},
    "lock_ready": {"now": 1, "limit": 10, "expired": 1_000},
    "read_locked": {"now": 1},
    "read_locked_entry": {"entry_id": "e"},
    "read_front": {"now": 1, "limit": 10, "expired": 1_000},
    "read_skipped": {"now": 1, "limit": 10, "expired": 1_000},
    "next_ready": {},
    "next_expiry": {},
    "count_ended": {"ended_before": 1, "loaded": "[]"},
}


@pytest.fixture(scope="module", params=["nothing is claimed", "much is claimed and done", "new"])
def location(request: Any, postgres_url: str) -> Iterator[Location]:
    """A store whose tables the server has just analyzed, or never; the tests only read it."""
    schema = f"treadle_plans_{os.getpid()}"
    asyncio.run(
        _fill(f"{postgres_url}&schema={schema}", request.param == "much is claimed and done")
    )
    with psycopg.connect(postgres_url, autocommit=True) as opened:
        if request.param != "new":
            opened.execute("VACUUM ANALYZE")
        yield parse_location(f"{postgres_url}&schema={schema}")
        opened.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture
def connection(location: Location) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection in a transaction such as writers have."""
    with psycopg.connect(location.conninfo) as opened:
        opened.execute(SETTINGS.encode(), {"lock_timeout": "0", "synchronous_commit": "on"})
        opened.execute("SELECT set_config('treadle.locked', %s, true)", (IDS,))
        yield opened
        opened.rollback()


async def _fill(url: str, works: bool) -> None:
    async with open_store(url, migrate=True) as store:
        async with store.batch() as step:
            for number in range(BOXES):
                step.mailboxes.send(f"box {number}", number, dedupe_key="k")
            for number in range(50):
                step.threads.create(Thread(id=f"t{number}"))
        for number in range(100):
            await store.runs.upsert(run(number))
        for number in range(50):
            messages = tuple(Message.user("hi") for _ in range(40))
            await store.threads.append(f"t{number}", ThreadChangeSet(messages=messages))
        if works:
            entries = await store.mailboxes.claim(1_000, consumer="w", lease_ms=60_000)
            async with store.batch() as step:
                for entry in entries[:500]:
                    step.mailboxes.ack(entry)


def run(number: int) -> RunRecord:
    return RunRecord(
        run_id=f"r{number}",
        thread_id="t",
        origin="user",
        status="done",
        created_at=number,
        updated_at=number,
    )


def plan(connection: psycopg.Connection[tuple[Any, ...]], query: Query) -> list[dict[str, Any]]:
    """The nodes of the generic plan."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query.text)))
    text = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", query.text)
    values = [(query.values or {})[name] for name in names]
    literals = ", ".join(psycopg.sql.Literal(value).as_string(connection) for value in values)
    connection.execute(f"PREPARE looked AS {text}".encode())
    explained = connection.execute(
        f"EXPLAIN (FORMAT JSON) EXECUTE looked{f'({literals})' if literals else ''}".encode()
    ).fetchone()
    connection.execute("DEALLOCATE looked")
    assert explained is not None
    return list(_nodes(cast("dict[str, Any]", explained[0][0]["Plan"])))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)


def is_exact(node: dict[str, Any]) -> bool:
    """Return True if a scan reads only the rows that it is for."""
    if "Index Cond" not in node:  # the first or last of a small index
        small = ("queue_heads_ready", "mailboxes_waking", "mailboxes_paused")
        return node["Index Name"] in small and "Filter" not in node
    if node["Index Name"] == "queue_heads_ready" and "(mailbox_id =" in node["Index Cond"]:
        return False  # it ends with the mailbox, so this searches all of it
    if node["Index Name"] == "queue_heads_pkey" and "(mailbox_id =" not in node["Index Cond"]:
        return False  # it begins with the mailbox, so this searches all of it
    is_listing = LISTINGS.fullmatch(node["Index Name"]) is not None
    return not is_listing or "entry_id = entries" in node["Index Cond"]


@pytest.mark.parametrize("settings", [SETTINGS, READING_SETTINGS])
def test_no_statement_is_compiled(postgres_url: str, settings: str) -> None:
    with psycopg.connect(parse_location(postgres_url).conninfo, options="-c jit=on") as opened:
        opened.execute(settings.encode(), {"lock_timeout": "0", "synchronous_commit": "on"})
        assert opened.execute("SHOW jit").fetchone() == ("off",)


def test_hot_statements_use_their_indexes(
    connection: psycopg.Connection[tuple[Any, ...]], location: Location
) -> None:
    queries = Queries(location)
    wrong: list[tuple[Any, ...]] = []
    statements: list[Statement] = [
        *(Read(name, values) for name, values in READS.items()),
        *(Write(name, (row,)) for name, row in ROWS.items()),
    ]
    for statement in statements:
        wrong += [
            (statement.name, node["Node Type"], node.get("Index Name"), node.get("Index Cond"))
            for node in plan(connection, queries.of(statement))
            if node["Node Type"] == "Seq Scan" or ("Index Name" in node and not is_exact(node))
        ]
    assert not wrong, "\n".join(map(str, wrong))


def test_a_purge_looks_up_the_loaded_entries_in_a_hash(
    connection: psycopg.Connection[tuple[Any, ...]], location: Location
) -> None:
    row = {"ended_before": 1, "statuses": "[]", "loaded": "[]", "counted": 0}
    for statement in (
        Read("count_ended", row),
        Write("purge_payloads", (row,)),
        Write("purge_entries", (row,)),
    ):
        nodes = plan(connection, Queries(location).of(statement))
        assert any("hashed SubPlan" in node.get("Filter", "") for node in nodes), nodes


@pytest.mark.parametrize(
    ("by", "filters", "index"),
    [
        ("id", {}, "threads_thread_id_key"),
        ("id", {"resource_id": "x"}, "threads_of_resource"),
        ("created_at", {}, "threads_by_creation"),
        ("created_at", {"resource_id": "x"}, "threads_of_resource_by_creation"),
        ("updated_at", {}, "thread_times_by_update"),
        ("updated_at", {"resource_id": "x"}, "thread_times_of_owner"),
        ("updated_at", {"resource_id": "x", "roots": True}, "thread_times_of_owner"),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_heads_is_read_off_an_index_in_its_order(
    connection: psycopg.Connection[tuple[Any, ...]],
    location: Location,
    by: ThreadKey,
    filters: dict[str, Any],
    index: str,
    order: Order,
) -> None:
    connection.execute(READING_SETTINGS.encode(), {"lock_timeout": "0"})
    after = cursor_of(Position(by, 1, "t"))
    for query in (
        ListThreadSummaries(by=by, order=order, limit=20, **filters),
        ListThreadSummaries(by=by, order=order, limit=20, after=after, **filters),
    ):
        (read,) = cast("tuple[Read]", next(list_summaries(query, DamageLog(""))))
        nodes = plan(connection, Queries(location).of(read))
        assert not any("Sort" in node["Node Type"] for node in nodes), nodes
        assert index in {node.get("Index Name") for node in nodes}, nodes


@pytest.mark.parametrize("by", ["created_at", "updated_at"])
@pytest.mark.parametrize("filters", [{}, {"resource_id": "x"}])
def test_a_page_of_children_is_sorted(
    connection: psycopg.Connection[tuple[Any, ...]],
    location: Location,
    by: ThreadKey,
    filters: dict[str, Any],
) -> None:
    """One thread's children are few of all threads, which an index in the order has."""
    connection.execute(READING_SETTINGS.encode(), {"lock_timeout": "0"})
    query = ListThreadSummaries(by=by, order="desc", limit=20, parent_thread_id="t", **filters)
    (read,) = cast("tuple[Read]", next(list_summaries(query, DamageLog(""))))
    nodes = plan(connection, Queries(location).of(read))
    used = {node.get("Index Name") for node in nodes} - {None}
    assert used == {"threads_of_parent", "thread_bodies_pkey"}, nodes


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "payloads_by_age"),
        ({"mailbox_id": "box 1"}, "payloads_of_mailbox"),
        ({"statuses": ("dead_letter",)}, "entries_in_status"),
        ({"statuses": ("accepted",), "error": "no"}, "entries_in_status"),
        ({"claimed_by": "w"}, "entries_in_status"),
        ({"statuses": ("queued",), "mailbox_id": "box 1"}, "entries_unfinished_of_mailbox"),
        ({"statuses": ("cancelled",), "mailbox_id": "box 1"}, "entries_stopped_of_mailbox"),
        ({"statuses": ("accepted",), "mailbox_id": "box 1"}, "payloads_of_mailbox"),
        ({"by": "available_at", "group": "scheduled"}, "entries_scheduled"),
        ({"by": "available_at", "group": "retrying"}, "entries_retrying"),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_found_entries_is_read_off_an_index_in_its_order(
    connection: psycopg.Connection[tuple[Any, ...]],
    location: Location,
    filters: dict[str, Any],
    index: str,
    order: Order,
) -> None:
    connection.execute(READING_SETTINGS.encode(), {"lock_timeout": "0"})
    after = cursor_of(Position(filters.get("by", "created_at"), 1, "e"))
    for cursor in (None, after):
        query = SearchEntries(order=order, limit=20, after=cursor, **filters)
        (read,) = cast("tuple[Read]", next(search_entries(query, DamageLog(""), 1)))
        nodes = plan(connection, Queries(location).of(read))
        assert not any("Sort" in node["Node Type"] for node in nodes), nodes
        assert index in {node.get("Index Name") for node in nodes}, nodes


@pytest.mark.parametrize("location", ["much is claimed and done"], indirect=True)
@pytest.mark.parametrize(
    ("name", "condition", "index"),
    [
        ("list_entries", "status", "entries_in_status"),
        ("list_entries", "mailbox_id", "payloads_of_mailbox"),
        ("list_runs", "status", "runs_in_status"),
        ("list_runs", "thread_id", "runs_of_thread"),
        ("list_runs", "parent_run_id", "runs_of_parent"),
        ("list_threads", "resource_id", "threads_of_resource"),
        ("list_threads", "parent_thread_id", "threads_of_parent"),
        ("list_messages", "run_id", "messages_of_run"),
    ],
)
def test_listings_are_ranges_of_an_index(
    connection: psycopg.Connection[tuple[Any, ...]],
    location: Location,
    name: str,
    condition: str,
    index: str,
) -> None:
    values = {condition: "x", "offset": 0, "limit": 50, "thread_id": "t"}
    query = Queries(location).of(Read(name, values, (condition,)))
    used = {
        node["Index Name"]: node.get("Index Cond")
        for node in plan(connection, query)
        if "Index Name" in node
    }
    assert used.get(index), used
