"""Costs: what a command or a query reads does not depend on what else the store holds.

The server counts the rows that each path reads which its planner has chosen.
"""

from collections.abc import Awaitable
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.postgres.test_costs import analyze, rows_read
from treadle import FoundEntries, RunRecord, Store, Thread, open_store
from treadle.backends.postgres._settings import SETTINGS
from treadle.backends.postgres.location import parse_location
from treadle.backends.postgres.schema import migrate
from treadle.core.entry_groups import GROUPS, EntryGroup
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_queries import EntryKey
from treadle.core.mailboxes import UNFINISHED
from treadle.testing._harness.builders import says
from treadle.testing._harness.sample_data import READS, WRITES, Read, Sample, fill

OTHERS = 1_500
LIMIT = 300
"""Far more than the rows of the sample, and far fewer than those beside it."""

TWO_WAYS = {"a claim by prefix of many": 600}
"""It looks at some heads by their mailboxes, and then at the first ones of all."""

_ORDERS: dict[EntryGroup, EntryKey] = {
    "claimed": "created_at",
    "dead": "created_at",
    "ended": "created_at",
}


def _search(store: Store, **filters: Any) -> Awaitable[FoundEntries]:
    return store.mailboxes.search_entries(limit=20, **filters)


COUNT_ALL = {
    "list threads",
    "list runs",
    "count runs",
    "usage",
    "list entries",
    "count entries",
    "list states",
    "queries together",
}
"""The queries that count whole tables, for instance for the total of a listing by offsets."""

BY_PREFIX: dict[str, Read] = {
    "a claim by prefix": lambda store: store.mailboxes.claim(5, consumer="w", mailbox_prefix="bo"),
    "a claim by prefix of nothing": lambda store: store.mailboxes.claim(
        5, consumer="w", mailbox_prefix="nobody"
    ),
    "a claim by prefix of many": lambda store: store.mailboxes.claim(
        5, consumer="w", mailbox_prefix="oth"
    ),
    "a claim of all others": lambda store: store.mailboxes.claim(
        5, consumer="w", except_prefix="other"
    ),
    "a wait for a prefix": lambda store: store.mailboxes.wait(1, mailbox_prefix="nobody"),
    "a wait for a prefix of many": lambda store: store.mailboxes.wait(1, mailbox_prefix="oth"),
    "a wait for all others": lambda store: store.mailboxes.wait(1, except_prefix="other"),
}
"""What reads few rows even if the planner takes the tables to be empty."""
FILTERED: dict[str, Read] = {
    "threads of an owner": lambda store: store.threads.list(resource_id="x"),
    "children of a thread": lambda store: store.threads.list(parent_thread_id="t"),
    "heads of an owner": lambda store: store.threads.list_summaries(resource_id="x"),
    "heads of an owner by update": lambda store: store.threads.list_summaries(
        resource_id="x", by="updated_at", order="desc"
    ),
    "heads of children by creation": lambda store: store.threads.list_summaries(
        parent_thread_id="t", by="created_at"
    ),
    "heads of children by update": lambda store: store.threads.list_summaries(
        parent_thread_id="t", by="updated_at", order="desc"
    ),
    "heads of an owner's children": lambda store: store.threads.list_summaries(
        resource_id="x", parent_thread_id="t", by="updated_at"
    ),
    "runs of a thread": lambda store: store.runs.list(thread_id="t"),
    "runs of a thread, counted": lambda store: store.runs.count(thread_id="t"),
    "usage of an owner": lambda store: store.runs.usage(by="agent", resource_id="x"),
    "usage of a thread": lambda store: store.runs.usage(by="agent", thread_id="t"),
    "the newest usage": lambda store: store.runs.usage(by="thread", limit=20),
    "children of a run": lambda store: store.runs.search(parent_run_id="r"),
    "entries of a mailbox": lambda store: store.mailboxes.list_entries(mailbox_id="box"),
    "entries of a mailbox, counted": lambda store: store.mailboxes.count_entries("box"),
    "groups": lambda store: store.mailboxes.count_groups(limit=20),
    "groups of a mailbox": lambda store: store.mailboxes.count_groups("box"),
    "errors of a mailbox": lambda store: store.mailboxes.errors("box"),
    "errors": lambda store: store.mailboxes.errors(limit=20),
    "consumers": lambda store: store.mailboxes.consumers(limit=20),
    "summaries by update": lambda store: store.mailboxes.list_summaries(by="updated_at", limit=5),
    "pages of a collection": lambda store: store.documents.list("memories", order="desc"),
    "collections by prefix": lambda store: store.documents.collections(prefix="mem"),
    "a claim": lambda store: store.mailboxes.claim(5, consumer="w"),
    "a claim in a mailbox": lambda store: store.mailboxes.claim(
        consumer="w", mailbox_id="other 00007"
    ),
    "a claim by id": lambda store: store.mailboxes.claim_entry("second", consumer="w"),
    **BY_PREFIX,
    "a wait": lambda store: store.mailboxes.wait(1),
    "a wait for a mailbox": lambda store: store.mailboxes.wait(1, mailbox_id="mine"),
    "what has not ended": partial(_search, statuses=UNFINISHED, order="asc"),
    "what a holder has": lambda store: store.mailboxes.search_entries(
        claimed_by="w", statuses=["claimed"]
    ),
    **{
        f"{group} entries of {mailbox_id}": partial(
            _search, mailbox_id=mailbox_id, group=group, by=_ORDERS.get(group, "available_at")
        )
        for group in GROUPS
        for mailbox_id in (None, "box", "other")
    },
}


async def fill_others(store: Store) -> None:
    """Put rows into every table that no command of the sample is about."""
    async with store.batch() as step:
        for number in range(OTHERS):
            name = f"other {number:05}"
            step.threads.create(Thread(id=name, resource_id=f"owner {number}"))
            step.threads.append(name, says("x"))
            step.runs.upsert(RunRecord(run_id=name, thread_id=name, created_at=1, updated_at=1))
            step.runs.upsert(  # the history of a thread whose mailbox is interrupted
                RunRecord(
                    run_id=f"done {number}",
                    thread_id="box",
                    status="done",
                    source_mailbox_entry_id=f"of {number}",
                )
            )
            step.mailboxes.send(name, number, dedupe_key=name)
            step.documents.put("others", name, number)
            step.documents.put("expiring", name, number, expires_at=LARGEST_TIME)


@pytest.fixture
def schema(postgres_url: str, new_schema: str) -> str:
    """A new one: what its tables held before would change the plans."""
    migrate(parse_location(f"{postgres_url}&schema={new_schema}"))
    return new_schema


@pytest.fixture
async def sample(url: str, postgres_url: str, schema: str, knows_size: bool) -> Sample:
    """A sample, and much beside it; the planner knows that, or takes the tables to be empty."""
    async with open_store(url) as store:
        analyze(postgres_url, schema)
        sample = await fill(store)
        await fill_others(store)
    if knows_size:
        analyze(postgres_url, schema)
    return sample


def rows_read_by(connection: psycopg.Connection, schema: str) -> dict[str, int]:
    """How many rows this transaction has read in each table and index."""
    found = connection.execute(
        """SELECT relname, pg_stat_get_xact_tuples_returned(oid)
        FROM pg_class
        WHERE relnamespace = %s::regnamespace AND pg_stat_get_xact_tuples_returned(oid) > 0""",
        [schema],
    )
    return {str(name): int(count) for name, count in found}


@pytest.mark.parametrize("knows_size", [True, False])
async def test_a_write_reads_few_rows_beside_many(
    url: str, postgres_url: str, schema: str, sample: Sample
) -> None:
    much: dict[str, dict[str, int]] = {}
    async with open_store(url) as store:
        for name, write in WRITES.items():
            with psycopg.connect(postgres_url) as connection:
                # those of the store's own transactions
                connection.execute(SETTINGS, {"lock_timeout": "5s", "synchronous_commit": "on"})
                async with store.batch(connection=connection) as step:
                    write(step, sample)
                found = rows_read_by(connection, schema)
                connection.rollback()
            if sum(found.values()) > LIMIT:
                much[name] = found
    assert not much, repr(sorted(much.items()))


@pytest.mark.parametrize("knows_size", [True, False])
@pytest.mark.usefixtures("sample")
async def test_a_query_reads_few_rows_beside_many(
    url: str, postgres_url: str, schema: str, knows_size: bool
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    much: dict[str, int] = {}
    for what, read in ({**READS, **FILTERED} if knows_size else BY_PREFIX).items():
        before = rows_read(postgres_url, schema, name)
        async with open_store(named) as store:
            await read(store)
        found = rows_read(postgres_url, schema, name) - before
        if found > TWO_WAYS.get(what, LIMIT) and what not in COUNT_ALL:
            much[what] = found
    assert not much, repr(sorted(much.items()))
