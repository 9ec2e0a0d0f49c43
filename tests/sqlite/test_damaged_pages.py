"""Damaged pages: every call works, or says what is wrong."""

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.sqlite.support import READS, WRITES, change, filled, in_store, opened
from treadle import Store, TreadleError
from treadle.backends._damage import DamageLog
from treadle.backends.sql.claims import next_due
from treadle.backends.sql.reads import read
from treadle.backends.sqlite._execution import run
from treadle.backends.sqlite.doctor import examine
from treadle.queries import ListCollections

PAGE = 8192
CALLS = {**READS, **WRITES}
Damage = Callable[[bytes, random.Random], bytes]


def flipped(page: bytes, choose: random.Random) -> bytes:
    """A few bits are others."""
    data = bytearray(page)
    for _ in range(8):
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(data)


def flipped_head(page: bytes, choose: random.Random) -> bytes:
    """A few bits are others, where the page says what it holds."""
    return flipped(page[:64], choose) + page[64:]


DAMAGE: dict[str, Damage] = {
    "zeros": lambda page, choose: bytes(PAGE),
    "ones": lambda page, choose: b"\xff" * PAGE,
    "noise": lambda page, choose: choose.randbytes(PAGE),
    "half": lambda page, choose: page[: PAGE // 2] + bytes(PAGE // 2),
    "bits": flipped,
    "bits of the head": flipped_head,
}

MAY_MEAN_NOTHING = (flipped, flipped_head, DAMAGE["half"])
"""A bit of a message that is another letter, or of what is free, or a half in which nothing is."""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = filled(tmp_path_factory.mktemp("healthy") / "store.db")
    change(path, "VACUUM")  # the pages of a table that a migration has dropped are free
    return path.read_bytes()


async def call_everything(path: Path) -> None:
    """Any error that is not Treadle's fails the test."""
    with suppress(TreadleError):
        async with opened(path) as store:
            for call in CALLS.values():
                with suppress(TreadleError):
                    await call(store)


def is_reported(path: Path) -> bool:
    """Return True if the doctor finds something wrong."""
    try:
        return examine(path).findings != ()
    except TreadleError:
        return True


async def damage_pages(
    path: Path, healthy: bytes, damage: Damage, seed: int, numbers: Iterable[int]
) -> list[int]:
    """Damage one page after the other; return the numbers of those that the doctor misses."""
    choose = random.Random(seed)
    untold: list[int] = []
    for number in numbers:
        start = number * PAGE
        page = damage(healthy[start : start + PAGE], choose)
        lay_down(path, healthy[:start] + page + healthy[start + PAGE :])
        if not is_reported(path):
            untold.append(number)
        await call_everything(path)
    return untold


def lay_down(path: Path, data: bytes) -> None:
    """Let this be the file, and nothing be left of what was there."""
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_every_call_on_a_damaged_page_says_what_is_wrong(
    tmp_path: Path, healthy: bytes, damage: Damage
) -> None:
    # The first page, and every second of the others: each of them gets three kinds of damage.
    turn = 1 + list(DAMAGE.values()).index(damage) % 2
    numbers = [0, *range(turn, len(healthy) // PAGE, 2)]
    untold = await damage_pages(tmp_path / "store.db", healthy, damage, 1, numbers)
    assert untold == [] or damage in MAY_MEAN_NOTHING


@pytest.mark.soak
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_every_call_says_what_is_wrong_however_the_page_is_damaged(
    tmp_path: Path, healthy: bytes, damage: Damage
) -> None:
    numbers = range(len(healthy) // PAGE)
    for seed in range(2, 60):
        untold = await damage_pages(tmp_path / "store.db", healthy, damage, seed, numbers)
        assert untold == [] or damage in MAY_MEAN_NOTHING, seed


async def test_swapped_pages_are_noticed(tmp_path: Path, healthy: bytes) -> None:
    path = tmp_path / "store.db"
    pages = [healthy[start : start + PAGE] for start in range(0, len(healthy), PAGE)]
    for first in range(1, len(pages) - 1):
        if pages[first] == pages[first + 1]:  # two empty indexes
            continue
        swapped = [*pages]
        swapped[first : first + 2] = pages[first + 1], pages[first]
        lay_down(path, b"".join(swapped))
        assert is_reported(path)
        await call_everything(path)


async def test_a_truncated_file_is_noticed(tmp_path: Path, healthy: bytes) -> None:
    path = tmp_path / "store.db"
    for size in range(PAGE // 2, len(healthy), PAGE // 2):
        lay_down(path, healthy[:size])
        assert is_reported(path)
        await call_everything(path)


def test_a_step_to_the_next_value_of_an_index_never_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def fill_indexes(store: Store) -> None:
        await store.mailboxes.send("m", None)
        await store.documents.put("c", "key", None)

    in_store(path, fill_indexes)
    healthy = path.read_bytes()
    for index in ("queue_heads_ready", "sqlite_autoindex_documents_1"):
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        with closing(sqlite3.connect(path)) as connection:
            (number,) = connection.execute(query, (index,)).fetchone()
        start, end = (number - 1) * PAGE, number * PAGE
        for seed in range(300):
            page = flipped_head(healthy[start:end], random.Random(seed))
            path.write_bytes(healthy[:start] + page + healthy[end:])
            step_through_indexes(path)
        path.write_bytes(healthy)


def step_through_indexes(path: Path) -> None:
    """Fail if a query takes a million steps."""
    with closing(sqlite3.connect(path)) as connection:
        for program in (next_due((None,)), read(ListCollections(), DamageLog("store"), 1)):
            steps = count()
            connection.set_progress_handler(partial(lambda taken: next(taken) > 100, steps), 10_000)
            try:
                with suppress(TreadleError, ValueError):
                    run(connection, program)
            except sqlite3.Error as error:
                assert error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT


def test_a_wait_on_a_damaged_file_raises_an_error_of_treadle(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.db")

    async def truncate_and_wait(store: Store) -> None:
        path.write_bytes(b"")
        with suppress(TreadleError):
            await store.threads.load("t")
        with pytest.raises(TreadleError):
            await store.mailboxes.wait(10)

    with suppress(TreadleError):  # of closing it
        in_store(path, truncate_and_wait)
