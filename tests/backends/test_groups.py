"""A batch that cannot be stored fails alone: the other calls of its group are carried out.

No value that passes the checks is refused by a healthy store of the sizes that a test can have, so
the limits are lowered here. PostgreSQL: `tests/postgres/test_refused_values.py`.
"""

import asyncio
import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.marks import every_backend
from treadle import (
    InvalidValue,
    Message,
    MessageMetadata,
    RunRecord,
    Store,
    Thread,
    ThreadChangeSet,
    open_store,
)
from treadle.backends.files import _journal
from treadle.backends.sqlite.backend import SqliteBackend
from treadle.core.mailbox_commands import Send

CALLS = 30


async def require_the_large_one_fails_alone(store: Store) -> None:
    """Append, send and claim at once; the one in the middle has 100 kB."""
    async with store.batch() as step:
        for number in range(CALLS):
            step.threads.create(Thread(id=f"t{number}"))
            step.mailboxes.send(f"b{number}", number)
    texts = [str(number) for number in range(CALLS)]
    texts[CALLS // 2] = "x" * 100_000
    claiming = [
        asyncio.ensure_future(store.mailboxes.claim(consumer="w", mailbox_id=f"b{number}"))
        for number in range(CALLS)
    ]
    outcomes = await asyncio.gather(
        *(
            store.threads.append(f"t{number}", ThreadChangeSet(messages=(Message.user(text),)))
            for number, text in enumerate(texts)
        ),
        return_exceptions=True,
    )
    failed = [number for number, each in enumerate(outcomes) if isinstance(each, BaseException)]
    assert failed == [CALLS // 2], outcomes
    assert isinstance(outcomes[CALLS // 2], InvalidValue)
    assert [len(entries) for entries in await asyncio.gather(*claiming)] == [1] * CALLS
    for number in range(CALLS):
        assert await store.threads.message_count(f"t{number}") == (number not in failed)
    committed = await store.threads.append(f"t{CALLS // 2}", Message.user("short"))
    assert committed.version == 1


async def test_a_value_that_is_too_large_for_sqlite_fails_alone(tmp_path: Path) -> None:
    class Limited(sqlite3.Connection):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 50_000)

    async with Store(SqliteBackend(tmp_path / "store.db", make_writer=Limited)) as store:
        await require_the_large_one_fails_alone(store)


async def test_a_batch_that_is_too_large_for_a_journal_s_record_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "_LARGEST_PAYLOAD", 50_000)
    async with open_store(str(tmp_path / "store")) as store:
        await require_the_large_one_fails_alone(store)


def longest_id(seed: int) -> str:
    """An id of 200 bytes that cannot be compressed, in characters of four bytes each."""
    pick = random.Random(seed)
    return "".join(chr(pick.randrange(0x20000, 0x2A000)) for _ in range(50))


def long_text(seed: int) -> str:
    """A text of 100 kB that cannot be compressed."""
    return random.Random(seed).randbytes(100_000 // 2).hex()


@every_backend
async def test_the_longest_ids_and_long_texts_are_stored_and_found(store: Store) -> None:
    """What an index of a database holds has a limit."""
    thread_id, child, run_id, box, entry_id = map(longest_id, range(5))
    dedupe_key, resource_id, text = map(long_text, range(3))
    metadata = MessageMetadata(run_id=longest_id(7))
    messages = (msgspec.structs.replace(Message.user(text), id=text, metadata=metadata),)
    await store.threads.create(Thread(id=thread_id, resource_id=resource_id))
    await store.threads.create(Thread(id=child, parent_thread_id=thread_id))
    for skipped in ((), (text,)):
        changes = ThreadChangeSet(messages=messages, run_id=run_id)
        assert (await store.threads.append(thread_id, changes)).skipped == skipped
    for status in ("running", "done"):
        run = RunRecord(
            run_id=run_id,
            thread_id=thread_id,
            parent_run_id=longest_id(8),
            origin="user",
            status=status,
            termination_code=text,
            created_at=1,
            updated_at=1,
        )
        await store.runs.upsert(run)
        assert (await store.runs.list(thread_id=thread_id, status=status)).items == (run,)
    sending = Send(
        entry_id=entry_id, mailbox_id=box, payload=text, dedupe_key=dedupe_key, sender_id=text
    )
    await store.commit((sending,))
    again = (await store.mailboxes.send(box, 1, dedupe_key=dedupe_key)).entry
    assert again.entry_id == entry_id
    (claimed,) = await store.mailboxes.claim(consumer=text, lease_ms=60_000)
    assert (claimed.entry_id, claimed.payload) == (entry_id, text)
    await store.mailboxes.nack(claimed, error=text)
    assert (await store.threads.list(resource_id=resource_id)).items == (thread_id,)
    assert (await store.threads.list(parent_thread_id=thread_id)).items == (child,)
    page = await store.threads.list_messages(thread_id, run_id=longest_id(7))
    assert [stored.message for stored in page.messages] == list(messages)
    assert (await store.mailboxes.list_entries(mailbox_id=box)).total == 1
