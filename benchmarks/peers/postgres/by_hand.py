"""The floor: the cost of the same durability with asyncpg, by hand and without a store."""

import asyncio
import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.peers.base import ThreadSubject
from benchmarks.peers.postgres.base import CONNECTIONS, DrainSubject, PostgresSubject

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


class _ByHand(PostgresSubject):
    name = "by hand (asyncpg)"
    distribution = "asyncpg"
    tables = ""

    async def begin(self) -> None:
        self.pool: Any = await import_module("asyncpg").create_pool(
            min_size=CONNECTIONS, max_size=CONNECTIONS, **self.address.for_asyncpg()
        )
        await self.pool.execute(self.tables)

    async def end(self) -> None:
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


class AppendsByHand(_ByHand, ThreadSubject):
    """One insert in each commit."""

    tables = MESSAGES

    async def start(self, name: str, texts: Sequence[str] = ()) -> Any:
        insert = (
            "insert into messages select $1, position, body"
            " from unnest($2::text[]) with ordinality as given (body, position)"
        )
        await self.pool.execute(insert, name, [json.dumps(text) for text in texts])
        return [name, len(texts)]

    async def append(self, thread: Any, text: str) -> None:
        thread[1] += 1
        await self.pool.execute(
            "insert into messages values ($1, $2, $3)", *thread, json.dumps(text)
        )

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        select = "select body from messages where thread = $1 order by position desc limit $2"
        rows = await self.pool.fetch(select, thread[0], count)
        return [json.loads(body) for (body,) in reversed(rows)]
