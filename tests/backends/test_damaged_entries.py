"""An entry that cannot be read is left out; what is behind it and around it goes on."""

import asyncio
import json
import logging
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from treadle import CorruptRecord, MailboxEntry, Sent, Store, open_store
from treadle.backends.postgres.location import parse_location
from treadle.store.copying import copy_store
from treadle.store.pages import every
from treadle.testing._harness import builders
from treadle.testing.clock import ManualClock
from treadle.worker import Delivery, Worker

LEASE_MS = 1_000


class Damager:
    """Changes a store of one kind behind its back, while it is closed."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        self._url = url
        self._clock = clock

    @property
    def is_files(self) -> bool:
        """Whether an entry is one document."""
        return not self._url.startswith(("sqlite", "postgres"))

    def opened(self) -> Store:
        """A handle on the store, not yet open."""
        return open_store(self._url, clock=self._clock)

    def execute(self, statement: str) -> None:
        """Run a statement in the tables of a database."""
        if self._url.startswith("sqlite"):
            with closing(sqlite3.connect(self._url.removeprefix("sqlite:///"))) as connection:
                connection.execute(statement)
                connection.commit()
            return
        location = parse_location(self._url)
        with psycopg.connect(location.conninfo) as connection:
            connection.execute(f'SET search_path TO "{location.schema}"'.encode())
            connection.execute(statement.encode())

    def damage(self, entry_id: str, column: str, value: str) -> None:
        """Put a JSON text, valid or not, in the place of a value of an entry."""
        if self._url.startswith("sqlite"):
            with closing(sqlite3.connect(self._url.removeprefix("sqlite:///"))) as connection:
                for table in _tables(column):
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? WHERE entry_id = ?",
                        (value, entry_id),
                    )
                connection.commit()
        elif self._url.startswith("postgres"):
            location = parse_location(self._url)
            with psycopg.connect(location.conninfo) as connection:
                for table in _tables(column):
                    text = f'UPDATE "{location.schema}".{table} SET {column} = %s'
                    connection.execute((text + " WHERE entry_id = %s").encode(), (value, entry_id))
        else:
            path = Path(self._url) / "_mailbox" / f"{entry_id}.json"
            marked = json.loads(path.read_text()) | {column: "<here>"}
            path.write_text(json.dumps(marked).replace('"<here>"', value or '"'))


def _tables(column: str) -> tuple[str, ...]:
    return ("payloads",) if column == "payload" else ("entries",)


CUT_OFF = '{"half": '
DAMAGE = {
    "a payload that was cut off": ("payload", CUT_OFF),
    "an unknown status": ("status", "lost"),
    "an unknown origin": ("origin", "space"),
    "an error that is not a text": ("last_error", "{"),
    "a count below zero": ("attempt_count", "-1"),
    "a generation below zero": ("generation", "-1"),
}
each_damage = pytest.mark.parametrize(("column", "value"), DAMAGE.values(), ids=DAMAGE)
every_kind = pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)


@pytest.fixture
def damager(store_url: str, clock: ManualClock) -> Damager:
    return Damager(store_url, clock)


async def send(store: Store, mailbox_id: str, *names: str) -> list[MailboxEntry]:
    sent = [await store.mailboxes.send(mailbox_id, name, dedupe_key=name) for name in names]
    return [each.entry for each in sent]


async def drain(store: Store, limit: int = 1, **options: Any) -> list[object]:
    """Claim and accept whatever there is; return the payloads."""
    done: list[object] = []
    claim = partial(store.mailboxes.claim, limit, consumer="w", lease_ms=LEASE_MS, **options)
    while entries := await claim():
        for entry in entries:
            done.append(entry.payload)
            await store.mailboxes.ack(entry)
    return done


@every_kind
@each_damage
async def test_a_holder_takes_what_is_behind_damaged_entries(
    damager: Damager, column: str, value: str
) -> None:
    async with damager.opened() as store:
        _, *damaged, _ = await send(store, "box", "first", "a", "b", "c", "good")
    for each in damaged:
        damager.damage(each.entry_id, column, value)
    async with damager.opened() as store:
        held = await builders.claim_one(store)
        taken = await store.mailboxes.take(held, limit=1)
        assert [each.payload for each in (held, *taken)] == ["first", "good"]


@every_kind
@each_damage
async def test_a_claim_passes_over_an_entry_that_cannot_be_read(
    damager: Damager, clock: ManualClock, column: str, value: str
) -> None:
    async with damager.opened() as store:
        [first, *_] = await send(store, "box", "a", "b", "c")
        clock.now += 1
        await send(store, "other", "d", "e")
    damager.damage(first.entry_id, column, value)
    async with damager.opened() as store:
        for limit in (1, 5):
            assert await drain(store, limit) == ([] if limit == 5 else ["b", "c", "d", "e"])
        await send(store, "box", "f")
        assert await drain(store) == ["f"]


@every_kind
@pytest.mark.parametrize("limit", [1, 5])
async def test_a_claim_by_prefix_passes_over_an_entry_that_cannot_be_read(
    damager: Damager, clock: ManualClock, limit: int
) -> None:
    async with damager.opened() as store:
        [first, *_] = await send(store, "box", "a", "b")
        clock.now += 1
        await send(store, "boat", "c", "d")
        await send(store, "other", "e")
    damager.damage(first.entry_id, "payload", CUT_OFF)
    async with damager.opened() as store:
        assert sorted(await drain(store, limit, mailbox_prefix="bo"), key=str) == ["b", "c", "d"]
        assert await drain(store, limit, except_prefix="bo") == ["e"]


@every_kind
async def test_a_claim_passes_over_many_entries_that_cannot_be_read(damager: Damager) -> None:
    async with damager.opened() as store:
        damaged = [await store.mailboxes.send(f"box{number % 8}", 0) for number in range(24)]
        whole = [await store.mailboxes.send("box7", 1), await store.mailboxes.send("last", 2)]
    for entry in damaged:
        damager.damage(entry.entry.entry_id, "payload", CUT_OFF)
    async with damager.opened() as store:
        assert await drain(store) == [entry.entry.payload for entry in whole]


@every_kind
@each_damage
async def test_an_entry_whose_lease_expires_and_that_cannot_be_read_frees_its_mailbox(
    damager: Damager, clock: ManualClock, column: str, value: str
) -> None:
    async with damager.opened() as store:
        [held, *_] = await send(store, "box", "a", "b", "c")
        assert len(await store.mailboxes.claim(1, consumer="w", lease_ms=LEASE_MS)) == 1
    damager.damage(held.entry_id, column, value)
    async with damager.opened() as store:
        clock.now += LEASE_MS
        assert await drain(store) == ["b", "c"]
        assert await store.mailboxes.claim(9, consumer="w", mailbox_id="box") == ()


@every_kind
async def test_a_live_lease_of_an_entry_that_cannot_be_read_holds_its_mailbox(
    damager: Damager, clock: ManualClock
) -> None:
    async with damager.opened() as store:
        await send(store, "box", "a", "b")
        [held] = await store.mailboxes.claim(1, consumer="w", lease_ms=LEASE_MS)
    damager.damage(held.entry_id, "payload", CUT_OFF)
    if damager.is_files:  # nothing is known of a document that cannot be read
        return
    async with damager.opened() as store:
        assert await drain(store) == []
        clock.now += LEASE_MS
        assert await drain(store) == ["b"]


@every_kind
@each_damage
async def test_calls_about_many_entries_leave_one_out_that_cannot_be_read(
    damager: Damager, column: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with damager.opened() as store:
        [first, second] = await send(store, "box", "a", "b")
    damager.damage(first.entry_id, column, value)
    with caplog.at_level(logging.WARNING, "treadle.damage"):
        async with damager.opened() as store:
            listed = await store.mailboxes.list_entries()
            assert [entry.payload for entry in listed.items] == ["b"]
            [name] = listed.unreadable
            assert first.entry_id in name
            assert (await store.mailboxes.count_entries()).queued in (1, 2)
            again = (await store.mailboxes.send("box", "again", dedupe_key="a")).entry
            assert again.payload == "again"
            assert await store.mailboxes.purge(10**15) == 0
            ended = await store.mailboxes.cancel_pending("box", exclude=second.entry_id)
            assert [entry.payload for entry in ended] == ["again"]
            interrupted = await store.mailboxes.interrupt("box")
            assert [each.payload for each in interrupted.superseded_entries] == ["b"]
    reported = [record for record in caplog.records if first.entry_id in record.getMessage()]
    assert len(reported) == 1


@every_kind
@each_damage
async def test_calls_that_name_an_entry_that_cannot_be_read_say_so_and_fail_alone(
    damager: Damager, column: str, value: str
) -> None:
    async with damager.opened() as store:
        [first] = await send(store, "box", "a")
    damager.damage(first.entry_id, column, value)
    async with damager.opened() as store:
        mailboxes = store.mailboxes
        others = [mailboxes.send(f"box{number}", number) for number in range(10)]
        failed, claimed, loaded, *sent = await asyncio.gather(
            mailboxes.cancel(first.entry_id),
            mailboxes.claim_entry(first.entry_id, consumer="w"),
            mailboxes.load_entry(first.entry_id),
            *others,
            return_exceptions=True,
        )
        for error in (failed, claimed, loaded):
            assert isinstance(error, CorruptRecord), error
            assert first.entry_id in error.where
        assert all(isinstance(each, Sent) for each in sent)


@every_kind
async def test_a_copy_fails_rather_than_lose_an_entry_that_cannot_be_read(
    damager: Damager,
) -> None:
    async with damager.opened() as store:
        [first, _] = await send(store, "box", "a", "b")
    damager.damage(first.entry_id, "payload", CUT_OFF)
    async with damager.opened() as store, open_store("memory:") as target:
        with pytest.raises(CorruptRecord, match=first.entry_id):
            await copy_store(store, target)


@every_kind
async def test_every_item_of_a_listing_comes_once_around_those_that_cannot_be_read(
    damager: Damager, clock: ManualClock
) -> None:
    async with damager.opened() as store, store.batch() as step:
        for number in range(450):
            step.mailboxes.enqueue(
                builders.entry(f"e{number:03}", payload=number, created_at=number)
            )
    damaged = [*range(200), 300]
    for number in damaged:
        damager.damage(f"e{number:03}", "payload", CUT_OFF)
    async with damager.opened() as store:
        found = [each.payload async for each in every(store.mailboxes.list_entries)]
        assert found == [number for number in range(450) if number not in damaged]


@every_kind
async def test_a_worker_that_stops_when_idle_does_not_wait_for_entries_that_cannot_be_read(
    damager: Damager,
) -> None:
    async with damager.opened() as store:
        [first, *_] = await send(store, "box", "a", "b", "c")
    damager.damage(first.entry_id, "payload", CUT_OFF)
    done: list[object] = []

    async def handle(delivery: Delivery) -> None:
        done.append(delivery.entry.payload)

    async with damager.opened() as store:
        worker = Worker(store, handle, consumer="w")
        await asyncio.wait_for(worker.run(until_idle=True), 30)
    assert done == ["b", "c"]


@every_kind
async def test_a_wait_does_not_end_for_an_entry_that_cannot_be_read(
    damager: Damager, clock: ManualClock
) -> None:
    async with damager.opened() as store:
        [queued] = await send(store, "queued", "a")
        [held] = await send(store, "claimed", "b")
        assert await store.mailboxes.claim_entry(held.entry_id, consumer="w", lease_ms=LEASE_MS)
    for entry_id in (queued.entry_id, held.entry_id):
        damager.damage(entry_id, "payload", CUT_OFF)
    async with damager.opened() as store:
        clock.now += LEASE_MS
        for mailbox_id in (None, "queued", "claimed"):
            assert await store.mailboxes.claim(9, consumer="w", mailbox_id=mailbox_id) == ()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await store.mailboxes.wait(60_000, mailbox_id=mailbox_id)


databases = pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)


@databases
async def test_a_purge_keeps_an_entry_that_waits_whatever_the_time_of_its_end(
    damager: Damager,
) -> None:
    async with damager.opened() as store:
        [first] = await send(store, "box", "a")
    damager.damage(first.entry_id, "ended_at", "1")
    async with damager.opened() as store:
        assert await store.mailboxes.purge(10**15) == 0
        assert await drain(store) == ["a"]


@databases
async def test_entries_whose_mailbox_is_missing_stop_nobody(
    damager: Damager, clock: ManualClock
) -> None:
    async with damager.opened() as store:
        [lost] = await send(store, "lost", "a")
        clock.now += 1
        await send(store, "box", "b")
    damager.execute("DELETE FROM mailboxes WHERE mailbox_id = 'lost'")
    async with damager.opened() as store:
        async with asyncio.timeout(20):
            for _ in range(2):  # SQLite looks at mailboxes only when leases are written
                claimed = await store.mailboxes.claim(1, consumer="w", lease_ms=LEASE_MS)
                if [entry.payload for entry in claimed] == ["b"]:
                    break
            else:
                raise AssertionError("the entry behind it was never claimed")
            with pytest.raises(CorruptRecord, match="its mailbox is missing"):
                await store.mailboxes.cancel(lost.entry_id)
