"""A damaged row fails the calls that name it; those that look at many rows leave it out."""

import asyncio
from pathlib import Path

import pytest

from tests.sqlite.support import READS, WRITES, change, filled, opened
from treadle import CorruptRecord, Thread, ThreadChangeSet
from treadle.store.store import Store

NOUNS = ("thread", "run", "mailbox", "mailbox entry")
CALLS = {**READS, **WRITES}
KEY = "(SELECT thread_key FROM threads WHERE thread_id = 't')"
THREAD = ("load a thread", "fork")
HEAD = ("load a thread", "a summary", "fork")
MESSAGES = ("load a thread", "page messages", "count messages", "deltas", "truncate", "fork")
RUN = ("load a run", "upsert")
ENTRIES = ("load an entry",)
MAILBOX = ("load a state", "explain an entry", "interrupt")

DAMAGE: dict[str, tuple[str, tuple[str, ...]]] = {
    # what is damaged: the statement, and the calls that touch it
    "a body that is no JSON": (
        f"UPDATE thread_bodies SET body = '{{' WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a body that is another thing": (
        f"UPDATE thread_bodies SET body = '[1, 2]' WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a body that is a number": (
        f"UPDATE thread_bodies SET body = 5 WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a body that is bytes": (
        f"UPDATE thread_bodies SET body = x'7b7d' WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a body that is not UTF-8": (
        f"UPDATE thread_bodies SET body = CAST(x'22ff22' AS TEXT) WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a body that is nested without end": (
        f"UPDATE thread_bodies SET body = replace(hex(zeroblob(9000)), '00', '[')"
        f" WHERE thread_key = {KEY}",
        HEAD,
    ),
    "a state that is no JSON": (
        f"UPDATE thread_bodies SET state = 'x' WHERE thread_key = {KEY}",
        THREAD,
    ),
    "a state that is nested without end": (
        f"UPDATE thread_bodies SET state = replace(hex(zeroblob(9000)), '00', '[')"
        f" WHERE thread_key = {KEY}",
        THREAD,
    ),
    "a version that is text": (
        "UPDATE threads SET version = 'one' WHERE thread_id = 't'",
        (*HEAD, "deltas", "append", "truncate"),
    ),
    "a version below zero": (
        "UPDATE threads SET version = -5 WHERE thread_id = 't'",
        (*HEAD, "deltas", "append", "truncate"),
    ),
    "a time that is text": (
        "UPDATE threads SET updated_at = 'now' WHERE thread_id = 't'",
        (*HEAD, "append", "truncate"),
    ),
    "a count that is text": (
        "UPDATE threads SET message_count = 'two' WHERE thread_id = 't'",
        ("a summary", "append", "truncate", "fork"),
    ),
    "a message that is no JSON": (
        f"UPDATE messages SET body = '{{' WHERE thread_key = {KEY} AND position = 1",
        MESSAGES,
    ),
    "a message from nobody": (
        f'UPDATE messages SET body = \'{{"role": "ghost"}}\' WHERE thread_key = {KEY}'
        " AND position = 1",
        MESSAGES,
    ),
    "a message that is missing": (
        f"DELETE FROM messages WHERE thread_key = {KEY} AND position = 1",
        ("deltas", "truncate"),
    ),
    "a message at a place that is none": (
        f"UPDATE messages SET position = 'x' WHERE thread_key = {KEY} AND position = 1",
        MESSAGES,
    ),
    "a removed message that is no JSON": (
        f"INSERT INTO removed_messages SELECT {KEY}, 1, 9, NULL, NULL, '{{'",
        ("deltas",),
    ),
    "a removed message that went at no version": (
        f"INSERT INTO removed_messages SELECT {KEY}, 1, 'x', NULL, NULL, '{{}}'",
        ("deltas",),
    ),
    "a patch that is no JSON": (f"UPDATE patches SET body = '' WHERE thread_key = {KEY}", THREAD),
    "a delta that is no JSON": (
        f"UPDATE deltas SET body = '{{' WHERE thread_key = {KEY}",
        ("deltas",),
    ),
    "a delta that is another thing": (
        f"UPDATE deltas SET body = '[null]' WHERE thread_key = {KEY}",
        ("deltas",),
    ),
    "a delta without its messages": (
        f"UPDATE deltas SET body = '{{}}' WHERE thread_key = {KEY}",
        ("deltas",),
    ),
    "a delta whose messages are none": (
        f'UPDATE deltas SET body = \'{{"changes": {{}}, "messages": [null]}}\''
        f" WHERE thread_key = {KEY}",
        ("deltas",),
    ),
    "a delta at a time that is text": (
        f"UPDATE deltas SET committed_at = 'now' WHERE thread_key = {KEY}",
        ("deltas",),
    ),
    "a run that is no JSON": ("UPDATE runs SET body = '{'", RUN),
    "a run in an unknown status": (
        "UPDATE runs SET body = replace(body, 'running', 'lost')",
        RUN,
    ),
    "a mailbox with a generation that is text": (
        "UPDATE mailboxes SET current_generation = 'one' WHERE mailbox_id = 'box'",
        MAILBOX,
    ),
    "a mailbox whose further fields are not JSON": (
        "UPDATE mailboxes SET extra = '{' WHERE mailbox_id = 'box'",
        MAILBOX,
    ),
    "an entry in an unknown status": (
        "UPDATE entries SET status = 'lost' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry from nowhere": (
        "UPDATE entries SET origin = 'space' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry with a priority that is text": (
        "UPDATE entries SET attempt_count = 'often' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry with a name that is bytes": (
        "UPDATE payloads SET sender_id = x'00' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry with a name that is not UTF-8": (
        "UPDATE payloads SET sender_id = CAST(x'ff' AS TEXT) WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry due at a time that is not an integer": (
        "UPDATE entries SET available_at = 0.5 WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "an entry whose further fields are not JSON": (
        "UPDATE payloads SET extra = '{' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "a payload that is no JSON": (
        "UPDATE payloads SET payload = '{' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
    "a payload that is bytes": (
        "UPDATE payloads SET payload = x'31' WHERE entry_id = 'queued'",
        ENTRIES,
    ),
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return filled(tmp_path_factory.mktemp("healthy") / "store.db").read_bytes()


async def outcome(store: Store, name: str) -> str:
    try:
        await CALLS[name](store)
    except CorruptRecord as error:
        assert error.where.split(" '")[0] in NOUNS, error
        return "damaged"
    return "done"


@pytest.mark.parametrize(("statement", "touching"), DAMAGE.values(), ids=DAMAGE)
async def test_only_calls_that_name_a_damaged_row_are_refused(
    tmp_path: Path, healthy: bytes, statement: str, touching: tuple[str, ...]
) -> None:
    if {"deltas", "load a run"}.intersection(touching):
        touching = (*touching, "queries together")
    for names in (tuple(READS), *((name,) for name in WRITES)):  # each write on a new store
        path = tmp_path / names[0] / "store.db"
        path.parent.mkdir()
        path.write_bytes(healthy)
        change(path, statement)
        async with opened(path) as store:
            found = {name: await outcome(store, name) for name in names}
            assert found == {name: "damaged" if name in touching else "done" for name in names}
            await store.threads.create(Thread(id="after"))
            assert await store.threads.load("after") is not None


async def test_a_damaged_row_does_not_affect_claims_from_other_mailboxes(
    tmp_path: Path, healthy: bytes
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(healthy)
    change(path, "UPDATE payloads SET payload = '{' WHERE entry_id = 'queued'")
    async with opened(path) as store:
        await store.mailboxes.send("elsewhere", 1)
        [entry] = await store.mailboxes.claim(mailbox_id="elsewhere", consumer="w")
        await store.mailboxes.ack(entry)


async def test_an_error_names_the_row_and_the_column(tmp_path: Path, healthy: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(healthy)
    change(path, "UPDATE entries SET status = 'lost' WHERE entry_id = 'queued'")
    async with opened(path) as store:
        with pytest.raises(
            CorruptRecord, match=r"mailbox entry 'queued' .*'lost' - at `\$.status`"
        ):
            await store.mailboxes.load_entry("queued")


async def test_a_damaged_row_fails_only_its_own_commit_of_a_group(
    tmp_path: Path, healthy: bytes
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(healthy)
    change(path, "UPDATE threads SET version = 'one' WHERE thread_id = 't'")
    async with opened(path) as store:
        commits = [store.threads.create(Thread(id=f"n{number}")) for number in range(30)]
        damaged = store.threads.append("t", ThreadChangeSet())
        results = await asyncio.gather(
            *commits[:20], damaged, *commits[20:], return_exceptions=True
        )
    assert isinstance(results.pop(20), CorruptRecord)
    for result in results:
        if isinstance(result, BaseException):
            raise result
