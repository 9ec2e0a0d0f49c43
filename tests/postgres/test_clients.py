"""An open store can be used by any thread and event loop of its process."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from treadle import Message, Thread, ThreadChangeSet, open_store
from treadle.errors import SchemaTooOld, StoreUnavailable

MESSAGE = ThreadChangeSet(run_id="", reason="UserMessage", messages=(Message.user("hi"),))


async def test_many_threads_with_a_loop_each_share_a_store(url: str) -> None:
    async with open_store(url, migrate=True) as store:

        async def work(number: int) -> int:
            waiting = asyncio.ensure_future(store.mailboxes.wait(5_000, mailbox_id=f"b{number}"))
            await store.threads.create(Thread(id=f"t{number}"))
            await store.mailboxes.send(f"b{number}", number)
            await waiting
            (entry,) = await store.mailboxes.claim(consumer="w", mailbox_id=f"b{number}")
            await store.mailboxes.ack(entry)
            return int(entry.payload)

        with ThreadPoolExecutor(8) as threads:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(threads, asyncio.run, work(n)) for n in range(24)]
            assert sorted(await asyncio.gather(*calls)) == list(range(24))
        assert (await store.mailboxes.count_entries()).accepted == 24


async def test_a_store_without_a_schema_is_refused_with_advice(
    postgres_url: str, new_schema: str
) -> None:
    with pytest.raises(SchemaTooOld, match="treadle migrate"):
        async with open_store(f"{postgres_url}&schema={new_schema}"):
            pass


async def test_an_unreachable_server_is_reported_without_the_password() -> None:
    url = "postgresql://me:secret@127.0.0.1:1/none"
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(url):
            pass
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


async def test_the_url_says_how_long_connecting_may_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/none?connect_timeout=2"
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="timeout"):
            async with open_store(url):
                pass
        assert time.monotonic() - started < 8


async def test_an_opening_that_is_cancelled_leaves_nothing_open(
    url: str, postgres_url: str
) -> None:
    async with open_store(url, migrate=True):
        pass
    name = uuid4().hex
    for turns in (0, 1, 3, 10, 100):
        opening = asyncio.ensure_future(open_store(f"{url}&application_name={name}").open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await (await opening).close()
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for _ in range(100):  # the server sees a moment later that a client has left
            if connection.execute(left, (name,)).fetchone() == (0,):
                break
            await asyncio.sleep(0.05)
        assert connection.execute(left, (name,)).fetchone() == (0,)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_the_database_s_default_isolation_does_not_matter(
    url: str, postgres_url: str, level: str
) -> None:
    async with open_store(url, migrate=True):
        pass
    option = quote("-c default_transaction_isolation=" + level.replace(" ", "\\ "))
    async with open_store(f"{url}&options={option}") as store:
        await store.threads.create(Thread(id="t"))
        appends = [store.threads.append("t", MESSAGE) for _ in range(20)]
        versions = [committed.version for committed in await asyncio.gather(*appends)]
    assert sorted(versions) == list(range(1, 21))


async def test_a_store_goes_on_in_a_schema_that_was_dropped_and_made_again(
    postgres_url: str, new_schema: str
) -> None:
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={new_schema}"
    async with open_store(url, migrate=True) as store:
        for number in range(4):  # so often that its statements are prepared
            await store.threads.create(Thread(id=f"old-{number}"))
            await store.mailboxes.claim(consumer="w")
            await store.threads.list()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(new_schema)))
        for call in (store.threads.create(Thread(id="lost")), store.threads.list()):
            with pytest.raises(StoreUnavailable, match="treadle migrate"):
                await call
        async with open_store(url, migrate=True) as other:
            await store.threads.create(Thread(id="new"))
            await store.mailboxes.send("box", 1)
            assert (await other.threads.list()).items == ("new",)
            assert len(await other.mailboxes.claim(consumer="w")) == 1
            assert await store.mailboxes.claim(consumer="w") == ()
