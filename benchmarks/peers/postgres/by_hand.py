"""The floor: the cost of the same durability by hand, without a store."""

import asyncio
import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import (
    DocumentSubject,
    EditSubject,
    HeadSubject,
    ThreadSubject,
    key_of,
)
from benchmarks.peers.by_hand_heads import COLUMNS, now_ms
from benchmarks.peers.by_hand_heads import SCHEMA as HEADS
from benchmarks.peers.postgres.base import CONNECTIONS, DrainSubject, PostgresSubject
from benchmarks.texts import payload

JOBS = """
create table jobs (id bigserial primary key, status text not null default 'ready', payload text);
create index on jobs (id) where status = 'ready';
"""
CLAIM = """
update jobs set status = 'running' where id = any(array(
    select id from jobs where status = 'ready' order by id for update skip locked limit $1))
returning id, payload
"""
MESSAGES = """
create table messages (thread text, position bigint, body text, primary key (thread, position))
"""
THREADS = """
create table threads (key bigserial primary key, id text unique, version bigint, count bigint)
    with (fillfactor = 70);
create table messages (thread bigint, position bigint, body text, primary key (thread, position));
create table deltas (thread bigint, version bigint, body text, primary key (thread, version));
"""
INSERT_THREAD = "insert into threads (id, version, count) values (%s, %s, %s) returning key"
FILL_THREAD = (
    "insert into messages select %s, position - 1, body"
    " from unnest(%s::text[]) with ordinality as given (body, position)"
)
LOCK_THREAD = "select version, count from threads where key = %s for no key update"
INSERT_MESSAGE = "insert into messages values (%s, %s, %s)"
INSERT_DELTA = "insert into deltas values (%s, %s, %s)"
UPDATE_THREAD = "update threads set version = %s, count = %s where key = %s"
INSERT_MESSAGES = (
    "insert into messages select $1, position, body"
    " from unnest($2::text[]) with ordinality as given (body, position)"
)
DOCUMENTS = """
create table documents (collection text, key text collate "C", value text not null,
    primary key (collection, key)) with (fillfactor = 70);
create table said (id bigserial primary key, body text not null);
"""
FILLED_AT_ONCE = 10_000


class _ByHand(PostgresSubject):
    name = "by hand (asyncpg)"
    distribution = "asyncpg"
    tables = ""

    async def begin(self) -> None:
        await self.connect()
        await self.pool.execute(self.tables)

    async def end(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Connect to the database."""
        self.pool: Any = await import_module("asyncpg").create_pool(
            min_size=CONNECTIONS, max_size=CONNECTIONS, **self.address.for_asyncpg()
        )

    async def disconnect(self) -> None:
        """Close the connections."""
        await self.pool.close()


class DrainByHand(_ByHand, DrainSubject):
    """`FOR UPDATE SKIP LOCKED`, and a delete."""

    batches = (1, 10, 100)
    tables = JOBS

    async def fill(self, payloads: Sequence[str], mailboxes: int) -> None:
        insert = "insert into jobs (payload) select unnest($1::text[])"
        await self.pool.execute(insert, list(payloads))

    async def drain(self, batch: int) -> None:
        await asyncio.gather(*(self._loop(batch) for _ in range(CONNECTIONS if batch == 1 else 2)))

    async def _loop(self, batch: int) -> None:
        while jobs := await self.pool.fetch(CLAIM, batch):
            self.handled += [payload for _, payload in jobs]
            keys = [key for key, _ in jobs]
            await self.pool.execute("delete from jobs where id = any($1::bigint[])", keys)

    def how(self) -> str:
        return f"{CONNECTIONS} connections one by one, 2 in batches; claim, delete"


class AppendsOnPostgresByHand(_ByHand, EditSubject):
    """One insert in each commit."""

    tables = MESSAGES
    has_titles = False

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        await self.pool.execute(INSERT_MESSAGES, name, [json.dumps(text) for text in texts])
        return [name, len(texts)]

    async def append(self, thread: Any, text: str) -> None:
        thread[1] += 1
        await self.pool.execute(
            "insert into messages values ($1, $2, $3)", *thread, json.dumps(text)
        )

    async def take_back(self, thread: Any) -> None:
        await self.pool.execute("delete from messages where thread = $1 and position = $2", *thread)
        thread[1] -= 1

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        select = "select body from messages where thread = $1 order by position desc limit $2"
        rows = await self.pool.fetch(select, thread[0], count)
        return [json.loads(body) for (body,) in reversed(rows)]


class AppendsInPipelinesByHand(PostgresSubject, ThreadSubject):
    """The statements of an append as Treadle stores it, in two pipelines for each commit."""

    name = "by hand (psycopg, the same statements in pipelines)"
    distribution = "psycopg-pool"

    async def begin(self) -> None:
        self.run(self.address, THREADS)
        pools: Any = import_module("psycopg_pool")
        self.pool: Any = pools.AsyncConnectionPool(
            self.address.uri(),
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 2},
        )
        await self.pool.open(wait=True)

    async def end(self) -> None:
        await self.pool.close()

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        values = (name, len(texts), len(texts))
        async with self.pool.connection() as connection:
            (key,) = await (await connection.execute(INSERT_THREAD, values)).fetchone()
            bodies = [json.dumps(text) for text in texts]
            await connection.execute(FILL_THREAD, (key, bodies))
        return key

    async def append(self, thread: Any, text: str) -> None:
        async with self.pool.connection() as connection:
            async with connection.pipeline():
                await connection.execute("begin")
                locked = await connection.execute(LOCK_THREAD, (thread,))
                version, count = await locked.fetchone()
            async with connection.pipeline():
                await connection.execute(INSERT_MESSAGE, (thread, count, json.dumps(text)))
                await connection.execute(INSERT_DELTA, (thread, version + 1, f"[{count}]"))
                await connection.execute(UPDATE_THREAD, (version + 1, count + 1, thread))
                await connection.execute("commit")

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        select = "select body from messages where thread = %s order by position desc limit %s"
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(select, (thread, count))).fetchall()
        return [json.loads(body) for (body,) in reversed(rows)]


class HeadsOnPostgresByHand(_ByHand, HeadSubject):
    """A row for each thread, and an index of its owner's threads by time."""

    tables = HEADS

    async def fill(self, threads: int, texts: Sequence[str]) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            for number in range(threads):
                head = (f"t{number}", "owner", f"about {number}", 0, len(texts), now_ms())
                await connection.execute("insert into threads values ($1,$2,$3,$4,$5,$6)", *head)
                await connection.execute(INSERT_MESSAGES, f"t{number}", list(texts))

    async def head(self, number: int) -> object:
        select = f"select {COLUMNS} from threads where id = $1"
        return await self.pool.fetchrow(select, f"t{number}")

    async def newest(self, count: int) -> Sequence[object]:
        select = (
            f"select {COLUMNS} from threads where owner = $1"
            " order by updated_at desc, id desc limit $2"
        )
        rows: list[object] = await self.pool.fetch(select, "owner", count)
        return rows

    async def rename(self, number: int, title: str) -> None:
        update = "update threads set title = $1, updated_at = $2 where id = $3"
        await self.pool.execute(update, title, now_ms(), f"t{number}")


class DocumentsOnPostgresByHand(_ByHand, DocumentSubject):
    """A row for each document."""

    tables = DOCUMENTS

    async def fill(self, count: int) -> None:
        for first in range(0, count, FILLED_AT_ONCE):
            numbers = range(first, min(first + FILLED_AT_ONCE, count))
            await self.pool.execute(
                "insert into documents select 'known', * from unnest($1::text[], $2::text[])",
                list(map(key_of, numbers)),
                list(map(payload, numbers)),
            )

    async def put(self, number: int, text: str) -> None:
        put = (
            "insert into documents values ('known', $1, $2)"
            " on conflict (collection, key) do update set value = excluded.value"
        )
        await self.pool.execute(put, key_of(number), json.dumps(text))

    async def load(self, number: int) -> object:
        select = "select value from documents where collection = 'known' and key = $1"
        return json.loads(await self.pool.fetchval(select, key_of(number)))

    async def page(self, after: int, count: int) -> Sequence[object]:
        select = (
            "select key, value from documents where collection = 'known' and key > $1"
            " order by key limit $2"
        )
        rows = await self.pool.fetch(select, key_of(after), count)
        return [(key, json.loads(value)) for key, value in rows]

    async def say(self, text: str) -> None:
        await self.pool.execute("insert into said (body) values ($1)", json.dumps(text))
