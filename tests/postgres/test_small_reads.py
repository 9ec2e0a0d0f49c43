"""Small reads that wait at the same time are one transaction, and fail by themselves."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql

from treadle import CorruptRecord, Document, Store, StoreClosed, open_store
from treadle.backends.postgres import _limits
from treadle.backends.postgres._statements import Query
from treadle.backends.postgres._transactions import Transaction
from treadle.backends.postgres.connection import Connection
from treadle.queries import ListDocuments, LoadDocuments

MANY = 100


class Sending:
    """Counts what the connections of a store send."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[int] = []
        """How many queries of documents each round trip has."""
        send = Connection.send

        def count(connection: Connection, queries: Sequence[Query]) -> Any:
            found = sum("documents" in query.text for query in queries)
            if found:
                self.reads.append(found)
            return send(connection, queries)

        monkeypatch.setattr(Connection, "send", count)


async def filled(store: Store) -> None:
    async with store.batch() as step:
        for number in range(MANY):
            step.documents.put("c", str(number), number)


def value_of(document: Document | None) -> Any:
    assert document is not None
    return document.value


async def test_reads_that_wait_share_a_transaction(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(url) as store:
        await filled(store)
        sending = Sending(monkeypatch)
        found = await asyncio.gather(
            *(store.documents.load("c", str(number)) for number in range(MANY))
        )
        assert [value_of(each) for each in found] == list(range(MANY))
        assert sum(sending.reads) == MANY
        assert len(sending.reads) < MANY / 4


async def test_large_reads_keep_no_others_waiting(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(url) as store:
        await filled(store)
        sending = Sending(monkeypatch)
        small, large = _limits.SMALL_READ, _limits.SMALL_READ + 1
        keys = tuple((str(number),) for number in range(large))
        one = LoadDocuments(collection="c", keys=keys[:1])
        page = ListDocuments(collection="c", limit=small)
        await asyncio.gather(
            *(store.documents.load_many("c", keys) for _ in range(10)),
            *(store.documents.list("c", limit=large) for _ in range(10)),
            *(store.read(one, page) for _ in range(10)),  # one more than is small
        )
        assert sorted(sending.reads) == [1] * 20 + [2] * 10


async def test_a_damaged_document_fails_its_own_read(url: str, schema: str) -> None:
    async with open_store(url) as store:
        await filled(store)
        with psycopg.connect(url.partition("&schema=")[0].partition("?schema=")[0]) as connection:
            damage = sql.SQL("UPDATE {} SET value = '{{' WHERE key = '7'")
            connection.execute(damage.format(sql.Identifier(schema, "documents")))
        found = await asyncio.gather(
            *(store.documents.load("c", str(number)) for number in range(MANY)),
            return_exceptions=True,
        )
        failed = [each for each in found if isinstance(each, BaseException)]
        assert [type(each) for each in failed] == [CorruptRecord]
        assert found[7] is failed[0]


async def test_if_a_group_fails_each_read_is_tried_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(url) as store:
        await filled(store)
        run, fails = Transaction.run, [True]

        def fail_once(transaction: Transaction[Any]) -> Any:
            outcomes = run(transaction)
            if isinstance(outcomes, list) and len(outcomes) > 1 and fails:
                fails.clear()
                raise psycopg.DataError("the server refuses a value of one of them")
            return outcomes

        monkeypatch.setattr(Transaction, "run", fail_once)
        found = await asyncio.gather(
            *(store.documents.load("c", str(number)) for number in range(MANY))
        )
        assert [value_of(each) for each in found] == list(range(MANY))
        assert not fails


async def test_a_read_that_is_given_up_does_no_harm(url: str) -> None:
    async with open_store(url) as store:
        await filled(store)
        reads = [asyncio.create_task(store.documents.load("c", "1")) for _ in range(20)]
        await asyncio.sleep(0)
        for each in reads[::2]:
            each.cancel()
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert [value_of(each) for each in found[1::2] if not isinstance(each, BaseException)] == (
            [1] * 10
        )


async def test_a_closed_store_reads_nothing(url: str) -> None:
    async with open_store(url) as store:
        await filled(store)
        read = asyncio.create_task(store.documents.load("c", "1"))
        await asyncio.sleep(0)
    assert value_of(await read) == 1
    with pytest.raises(StoreClosed):
        await store.documents.load("c", "1")
