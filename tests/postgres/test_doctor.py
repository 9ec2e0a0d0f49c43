"""The doctor of a schema: gaps in a thread and wrong queue heads are named, by the rules of SQLite.

What the rows themselves hold is tried by `tests/backends/test_damaged_columns.py`.
"""

import psycopg
import pytest

from tests.sqlite.test_doctor import DAMAGE
from treadle import open_store
from treadle.backends.postgres.doctor import examine
from treadle.backends.postgres.location import parse_location
from treadle.testing._harness.sample_data import WRITES, fill

BETWEEN_ROWS = (
    "a gap",
    "a message too few",
    "a message of no thread",
    "a message too few at the beginning",
    "a patch too many",
    "a gap between patches",
    "a patch of no thread",
    "a removed message of no thread",
    "deltas that lead elsewhere",
    "a delta of no thread",
    "a thread without its body",
    "a body without its thread",
    "an entry without its payload",
    "a payload without its entry",
    "an entry without its mailbox",
    "a queue head that is missing",
    "a queue head too many",
    "a queue head that names another entry",
    "a queue head that is due at another time",
    "a queue head that is not blocked",
    "a lease that is forgotten",
    "a lease that nobody has",
)
"""Damage that only shows when rows are compared with each other."""


@pytest.fixture
async def filled(url: str) -> str:
    async with open_store(url) as store:
        await fill(store)
    return url


@pytest.mark.parametrize("name", BETWEEN_ROWS)
async def test_damage_is_named(filled: str, schema: str, name: str) -> None:
    statement, where, reason = DAMAGE[name]
    location = parse_location(filled)
    async with await psycopg.AsyncConnection.connect(location.conninfo) as connection:
        await connection.execute(f'SET search_path = "{schema}"'.encode())
        await connection.execute(statement.encode())
    findings = examine(location).findings
    assert any(each.path == where and reason in each.reason for each in findings), findings


@pytest.mark.parametrize("name", WRITES)
async def test_no_write_leaves_anything_to_be_found(url: str, name: str) -> None:
    async with open_store(url) as store:
        sample = await fill(store)
        async with store.batch() as step:
            WRITES[name](step, sample)
    assert examine(parse_location(url)).findings == ()
