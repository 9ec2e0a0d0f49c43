"""A mailbox whose state cannot be read gives its entries, and wakes those who wait for them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from treadle import open_store
from treadle.backends.postgres.location import parse_location
from treadle.worker import Delivery, Worker

_DAMAGE = "UPDATE mailboxes SET current_generation = -1 WHERE mailbox_id = 'box'"


def damage(store_url: str) -> None:
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as file:
            file.execute(_DAMAGE)
            file.commit()
    elif store_url.startswith("postgres"):
        location = parse_location(store_url)
        with psycopg.connect(location.conninfo) as server:
            server.execute(f'SET search_path TO "{location.schema}"'.encode())
            server.execute(_DAMAGE.encode())
    else:
        Path(store_url, "_mailbox_threads", "box.json").write_text("{")


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_who_waits_for_a_mailbox_whose_state_is_damaged_gets_what_falls_due(
    store_url: str,
) -> None:
    async with open_store(store_url) as store:
        await store.mailboxes.send("box", 1, delay_ms=300)
    damage(store_url)
    async with open_store(store_url) as store, asyncio.timeout(20):
        claimed = await store.mailboxes.claim(consumer="w", mailbox_id="box")
        while not claimed:
            await store.mailboxes.wait(60_000, mailbox_id="box")
            claimed = await store.mailboxes.claim(consumer="w", mailbox_id="box")
        assert [each.payload for each in claimed] == [1]


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_a_worker_that_stops_when_idle_does_not_wait_for_what_nobody_can_settle(
    store_url: str,
) -> None:
    async with open_store(store_url) as store:
        await store.mailboxes.send("box", 1, delay_ms=600_000)
    damage(store_url)
    done: list[object] = []

    async def handle(delivery: Delivery) -> None:
        done.append(delivery.entry.payload)

    async with open_store(store_url) as store, asyncio.timeout(20):
        await store.mailboxes.send("other", 2)
        await Worker(store, handle).run(until_idle=True)
    assert done == [2]
