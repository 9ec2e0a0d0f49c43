"""Costs: a command reads rows in proportion to those that it changes, counted by the server."""

import time
from collections.abc import Callable, Coroutine
from itertools import product
from typing import Any, get_args

import psycopg
import pytest
from psycopg import sql

from treadle import Message, RunRecord, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres.location import parse_location
from treadle.backends.postgres.schema import migrate
from treadle.core.run_queries import RunKey

FEW, MANY = 200, 800
LARGEST_RATIO = 6
"""Of four times the work; a little more than four, because searches in an index become deeper."""


async def sent(store: Store, count: int) -> None:
    async with store.batch() as step:
        for number in range(count):
            step.mailboxes.send("box", number)


async def ended(store: Store, count: int) -> None:
    await sent(store, count)
    await store.mailboxes.interrupt("box")


async def written(store: Store, count: int) -> None:
    messages = tuple(Message.user(str(number)) for number in range(count))
    await store.threads.create(Thread(id="t", messages=messages))
    async with store.batch() as step:
        for number in range(count):
            step.threads.append("t", ThreadChangeSet(messages=(Message.user(str(number)),)))


async def interrupt(store: Store) -> None:
    await store.mailboxes.interrupt("box")


async def ack_and_cancel(store: Store) -> None:
    entries = await store.mailboxes.claim(consumer="w", mailbox_id="box")
    async with store.batch() as step:
        step.mailboxes.ack(entries[0])
        step.mailboxes.cancel_pending("box")


async def take_all(store: Store) -> None:
    [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="box")
    taken = await store.mailboxes.take(entry, limit=10_000)
    await store.mailboxes.extend_lease(taken[0])
    async with store.batch() as step:
        for each in (entry, *taken):
            step.mailboxes.hold(each)
            step.mailboxes.ack(each)


async def search(store: Store) -> None:
    await store.mailboxes.search_entries(mailbox_id="box", statuses=["queued"], by="available_at")


async def stats(store: Store) -> None:
    await store.mailboxes.count_entries("box")


async def purge(store: Store) -> None:
    await store.mailboxes.purge(2**60)


async def save(store: Store) -> None:
    await store.threads.save(Thread(id="t"))


async def delete(store: Store) -> None:
    await store.threads.delete("t")


async def truncate(store: Store) -> None:
    await store.threads.truncate("short", drop=1)


async def read_deltas(store: Store) -> None:
    await store.threads.list_deltas("short", 1)


async def read_the_end(store: Store) -> None:
    await store.threads.list_messages("short", order="desc", limit=2)


async def append(store: Store) -> None:
    thread = await store.threads.load("t")
    count = 0 if thread is None else len(thread.thread.messages) // 2
    async with store.batch() as step:
        for number in range(count):
            step.threads.append("t", Message.user(str(number)))


@pytest.fixture
def schema(postgres_url: str, new_schema: str) -> str:
    """A new one: what its tables held before would change the plans."""
    migrate(parse_location(f"{postgres_url}&schema={new_schema}"))
    return new_schema


def rows_read(url: str, schema: str, name: str) -> int:
    """How many rows the server has read in a schema's tables and indexes, with dead ones.

    A session reports its counts when it ends at the latest, so first those of `name` have to.
    """
    reading = """SELECT
        (SELECT count(*) FROM pg_stat_activity WHERE application_name = %(name)s),
        (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = %(schema)s)
            + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = %(schema)s)"""
    end = time.monotonic() + 20
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < end:
            found = connection.execute(reading, {"schema": schema, "name": name}).fetchone()
            assert found is not None
            if found[0] == 0:
                return int(found[1])
            time.sleep(0.005)
    raise AssertionError("the store's sessions do not end")


def analyze(url: str, schema: str) -> None:
    """Let the server take the tables to be as large as they are now; it may do so at any moment."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
    with psycopg.connect(url, autocommit=True) as connection:
        for (table,) in connection.execute(tables, (schema,)).fetchall():
            connection.execute(
                sql.SQL("ANALYZE {}.{}").format(*map(sql.Identifier, (schema, table)))
            )


@pytest.mark.parametrize(
    ("fill", "command"),
    [
        (sent, interrupt),
        (sent, ack_and_cancel),
        (sent, take_all),
        (sent, search),
        (sent, stats),
        (ended, purge),
        (written, append),
        (written, save),
        (written, delete),
    ],
)
async def test_a_command_reads_what_it_changes(
    url: str,
    postgres_url: str,
    schema: str,
    fill: Callable[[Store, int], Coroutine[Any, Any, None]],
    command: Callable[[Store], Coroutine[Any, Any, None]],
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    read: list[int] = []
    for count in (FEW, MANY):
        async with open_store(named) as store:
            await store.mailboxes.purge(2**60)
            analyze(postgres_url, schema)
            await fill(store, count)
        before = rows_read(postgres_url, schema, name)
        async with open_store(named) as store:
            await command(store)
        read.append(rows_read(postgres_url, schema, name) - before)
        async with open_store(named) as store:
            await store.threads.delete("t")
    few, many = read
    assert few > 0
    assert many <= LARGEST_RATIO * few, read


@pytest.mark.parametrize("command", [truncate, read_deltas, read_the_end])
async def test_a_short_thread_costs_little_beside_a_long_one(
    url: str, postgres_url: str, schema: str, command: Callable[[Store], Coroutine[Any, Any, None]]
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    async with open_store(named) as store:
        for thread_id, count in (("long", 5_000), ("short", 3)):
            messages = tuple(Message.user(str(number)) for number in range(count))
            await store.threads.create(Thread(id=thread_id, messages=messages, state={}))
            async with store.batch() as step:
                for number in range(count):
                    step.threads.append(thread_id, Message.user(str(number)))
    analyze(postgres_url, schema)
    before = rows_read(postgres_url, schema, name)
    async with open_store(named) as store:
        await command(store)
    assert rows_read(postgres_url, schema, name) - before < 200


async def test_a_take_reads_as_much_however_deep_the_queue(
    url: str, postgres_url: str, schema: str
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    read: list[int] = []
    async with open_store(named) as store:
        await sent(store, 1)
        analyze(postgres_url, schema)  # the planner takes the queue to be short
        [held] = await store.mailboxes.claim(consumer="w", mailbox_id="box")
    for depth in (FEW, 4 * MANY):
        async with open_store(named) as store:
            await sent(store, depth)
        before = rows_read(postgres_url, schema, name)
        async with open_store(named) as store:
            assert len(await store.mailboxes.take(held, limit=5)) == 5
        read.append(rows_read(postgres_url, schema, name) - before)
    few, many = read
    assert many <= 2 * few, read


async def test_a_claim_costs_little_among_many_mailboxes(
    url: str, postgres_url: str, schema: str
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    async with open_store(named) as store, store.batch() as step:
        for number in range(2_000):
            step.mailboxes.send(f"box {number}", number)
    before = rows_read(postgres_url, schema, name)
    async with open_store(named) as store:
        assert len(await store.mailboxes.claim(5, consumer="w")) == 5
    assert rows_read(postgres_url, schema, name) - before < 200


SEARCHES: dict[str, dict[str, Any]] = {
    "newest": {},
    "of an owner": {"resource_id": "x"},
    "of a thread": {"thread_id": "t"},
    "in a status": {"statuses": ["done"]},
    "of an owner, in a status": {"resource_id": "x", "statuses": ["running"]},
}


async def test_a_page_of_runs_costs_little_among_many(
    url: str, postgres_url: str, schema: str
) -> None:
    name = f"costs of {schema}"
    named = f"{url}&application_name={name.replace(' ', '%20')}"
    async with open_store(named) as store:
        for thread_id, owner in (("t", "x"), ("u", "y")):
            await store.threads.create(Thread(id=thread_id, resource_id=owner))
        async with store.batch() as step:
            for number in range(3_000):
                run = RunRecord(
                    run_id=f"r{number}",
                    thread_id="t" if number % 3 else "u",
                    status="done" if number % 4 else "running",
                    created_at=number + 1,
                    updated_at=number + 1,
                )
                step.runs.upsert(run)
    analyze(postgres_url, schema)
    for by, (what, filters) in product(get_args(RunKey), SEARCHES.items()):
        before = rows_read(postgres_url, schema, name)
        async with open_store(named) as store:
            page = await store.runs.search(by=by, order="desc", limit=20, **filters)
        assert len(page.items) == 20
        assert rows_read(postgres_url, schema, name) - before < 300, (by, what)
