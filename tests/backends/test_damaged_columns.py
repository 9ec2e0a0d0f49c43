"""Whatever the rows of a database hold, every call ends soon, with a result or an error of Treadle.

In each round, one column of every table is damaged at a time, in a row that many calls look at.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from itertools import cycle

import psycopg
import pytest

from treadle import Store, Thread, TreadleError, open_store
from treadle.backends.postgres.location import parse_location
from treadle.backends.sql.tables import TABLES, THREAD_TIMES, Table
from treadle.testing._harness.sample_data import READS, WRITES, Sample, fill
from treadle.testing.clock import ManualClock

LEASE_MS = 30_000
THREAD_PART = "thread_key = (SELECT thread_key FROM threads WHERE thread_id = 't')"
ROWS = {
    "threads": "thread_id = 't'",
    "thread_times": THREAD_PART,
    "thread_bodies": THREAD_PART,
    "messages": f"{THREAD_PART} AND position = 1",
    "removed_messages": THREAD_PART,
    "patches": THREAD_PART,
    "deltas": f"{THREAD_PART} AND version = 1",
    "runs": "run_id = 'r'",
    "run_times": "run_id = 'r'",
    "mailboxes": "mailbox_id = 'box'",
    "queue_heads": "mailbox_id = 'box' AND priority = 0",
    "entries": "entry_id = 'queued'",
    "payloads": "entry_id = 'second'",
    "documents": "collection = 'memories' AND key = 'ann'",
}
DERIVED = {"mailboxes": ("lease_until",), "queue_heads": ("blocked",)}
SQLITE_VALUES = ("'{'", "x'ff'", "CAST(x'22ff22' AS TEXT)", "-1", "0.5", "9223372036854775807")
POSTGRES_VALUES = {"text": ("'{'", "'[1]'"), "integer": ("-1",), "bigint": ("-1",)}


def columns_of(table: Table) -> list[str]:
    names = [name for name in table.types if not (table.part_of_thread and name == "thread_id")]
    return [*names, *DERIVED.get(table.name, ())]


ROUNDS = range(max(len(columns_of(table)) for table in TABLES.values()))


def damages(
    number: int, value_of: Callable[[str, str], str], tables: Iterable[Table] = TABLES.values()
) -> list[str]:
    """The statements that damage a round's column of each table."""
    statements: list[str] = []
    for table in tables:
        column = (names := columns_of(table))[number % len(names)]
        value = value_of(table.name, column)
        statements.append(f"UPDATE {table.name} SET {column} = {value} WHERE {ROWS[table.name]}")
    return statements


async def attempt(work: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(20):
            await work
    except TreadleError as error:
        assert str(error)


async def write(store: Store, sample: Sample, name: str) -> None:
    async with store.batch() as step:
        WRITES[name](step, sample)


async def claim_all(store: Store) -> list[str]:
    claimed: list[str] = []
    async with asyncio.timeout(20):
        while entries := await store.mailboxes.claim(1, consumer="w", lease_ms=LEASE_MS):
            claimed += [entry.entry_id for entry in entries]
    return claimed


async def use(store: Store, sample: Sample, clock: ManualClock) -> None:
    sent = (await store.mailboxes.send("untouched", "whole")).entry
    clock.now += LEASE_MS
    assert sent.entry_id in await claim_all(store)
    for read in READS.values():
        await attempt(read(store))
    for name in WRITES:
        await attempt(write(store, sample, name))
    await claim_all(store)
    await store.threads.create(Thread(id="after"))
    sent = (await store.mailboxes.send("after", 1)).entry
    assert await store.mailboxes.claim_entry(sent.entry_id, consumer="w") is not None


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", ROUNDS)
async def test_damaged_columns_of_a_file_fail_nobody_else(
    store_url: str, number: int, clock: ManualClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        sample = await fill(store)
    values = cycle(SQLITE_VALUES)
    tables = [table for table in TABLES.values() if table is not THREAD_TIMES]
    statements = damages(number, lambda table, column: next(values), tables)
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        for statement in statements[number % 2 :]:
            connection.execute(statement)
        connection.commit()
    async with open_store(store_url, clock=clock) as store:
        await use(store, sample, clock)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("number", ROUNDS)
async def test_damaged_columns_of_a_server_fail_nobody_else(
    store_url: str, number: int, clock: ManualClock
) -> None:
    async with open_store(store_url, clock=clock) as store:
        sample = await fill(store)
    location = parse_location(store_url)

    def value_of(table: str, column: str) -> str:
        kind = {"lease_until": "bigint", "blocked": "integer"}.get(column)
        choices = POSTGRES_VALUES[kind or TABLES[table].types[column]]
        return choices[number % len(choices)]

    with psycopg.connect(location.conninfo) as connection:
        connection.execute(f'SET search_path TO "{location.schema}"'.encode())
        for statement in damages(number, value_of):
            connection.execute(statement.encode())
    async with open_store(store_url, clock=clock) as store:
        await use(store, sample, clock)
