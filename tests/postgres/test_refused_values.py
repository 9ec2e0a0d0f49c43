"""A value that the server refuses is its caller's alone: the rest of its group is committed."""

import asyncio
import random
import string
from collections.abc import AsyncIterator

import psycopg
import pytest

from treadle import InvalidValue, Message, Store, Thread, ThreadChangeSet, open_store
from treadle.backends.postgres import _statements

CALLS = 30
RULES = {
    "value too long": "ALTER TABLE {}.messages ALTER body TYPE varchar(20000)",
    "violates check constraint": "ALTER TABLE {}.messages ADD CHECK (length(body) < 20000)",
    "index row": "CREATE INDEX ON {}.messages (body)",
}


@pytest.fixture
async def store(postgres_url: str, new_schema: str) -> AsyncIterator[Store]:
    async with open_store(f"{postgres_url}&schema={new_schema}", migrate=True) as opened:
        async with opened.batch() as step:
            for number in range(CALLS):
                step.threads.create(Thread(id=f"t{number}"))
        yield opened


def appended(number: int, size: int) -> ThreadChangeSet:
    letters = random.Random(number).choices(string.ascii_letters, k=size)
    return ThreadChangeSet(messages=(Message.user("".join(letters)),))


async def commit_together(store: Store, *, odd: ThreadChangeSet) -> list[object]:
    """Append to all threads at once, `odd` to one in the middle; return results and errors."""
    changes = [appended(number, 10) for number in range(CALLS)]
    changes[CALLS // 2] = odd
    calls = (store.threads.append(f"t{number}", each) for number, each in enumerate(changes))
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def require_only_the_odd_one_failed(store: Store, outcomes: list[object]) -> InvalidValue:
    failed = [number for number, each in enumerate(outcomes) if isinstance(each, BaseException)]
    assert failed == [CALLS // 2], outcomes
    for number in range(CALLS):
        assert await store.threads.message_count(f"t{number}") == (number not in failed)
    error = outcomes[CALLS // 2]
    assert isinstance(error, InvalidValue)
    return error


@pytest.mark.parametrize("reason", RULES)
async def test_a_value_that_the_server_refuses_fails_alone(
    store: Store, postgres_url: str, new_schema: str, reason: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(RULES[reason].format(new_schema).encode())
    outcomes = await commit_together(store, odd=appended(0, 30_000))
    error = await require_only_the_odd_one_failed(store, outcomes)
    assert reason in str(error)
    assert isinstance(error.__cause__, psycopg.Error)


async def test_a_claim_that_the_server_refuses_fails_alone(
    store: Store, postgres_url: str, new_schema: str
) -> None:
    async with store.batch() as step:
        for number in range(CALLS):
            step.mailboxes.send(f"b{number}", number)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        limit = f"ALTER TABLE {new_schema}.entries ALTER claimed_by TYPE varchar(20)"
        connection.execute(limit.encode())
    consumers = ["w" if number != CALLS // 2 else "w" * 30 for number in range(CALLS)]
    calls = (
        store.mailboxes.claim(consumer=consumer, mailbox_id=f"b{number}", lease_ms=60_000)
        for number, consumer in enumerate(consumers)
    )
    outcomes = list(await asyncio.gather(*calls, return_exceptions=True))
    assert isinstance(outcomes.pop(CALLS // 2), InvalidValue)
    assert [isinstance(each, tuple) and len(each) for each in outcomes] == [1] * (CALLS - 1)


async def test_rows_that_are_too_many_for_one_value_fail_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_statements, "LARGEST_VALUE", 20_000)
    outcomes = await commit_together(store, odd=appended(0, 30_000))
    error = await require_only_the_odd_one_failed(store, outcomes)
    assert "divide the batch" in str(error)


async def test_a_group_that_is_too_large_for_one_value_is_parted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_statements, "LARGEST_VALUE", 20_000)
    calls = [store.threads.append(f"t{number}", appended(number, 5_000)) for number in range(CALLS)]
    assert [committed.version for committed in await asyncio.gather(*calls)] == [1] * CALLS


async def test_a_caller_s_transaction_goes_on_after_a_value_that_was_refused(
    store: Store, postgres_url: str, new_schema: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute(RULES["index row"].format(new_schema).encode())
        with pytest.raises(InvalidValue, match="index row"):
            async with store.batch(connection=connection) as step:
                step.threads.append("t0", appended(0, 30_000))
        async with store.batch(connection=connection) as step:
            step.threads.append("t1", appended(1, 10))
        await connection.commit()
    assert await store.threads.message_count("t0") == 0
    assert await store.threads.message_count("t1") == 1
