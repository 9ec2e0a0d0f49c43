"""Damaged pages: every call works, or says what is wrong."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sqlite.support import READS, WRITES, filled, in_store, opened
from treadle import Store, TreadleError
from treadle.backends.sqlite.doctor import examine

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
    return filled(tmp_path_factory.mktemp("healthy") / "store.db").read_bytes()


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


async def damage_each_page(path: Path, healthy: bytes, damage: Damage, seed: int) -> list[int]:
    """Damage one page after the other; return the numbers of those that the doctor misses."""
    choose = random.Random(seed)
    untold: list[int] = []
    for start in range(0, len(healthy), PAGE):
        page = damage(healthy[start : start + PAGE], choose)
        lay_down(path, healthy[:start] + page + healthy[start + PAGE :])
        if not is_reported(path):
            untold.append(start // PAGE)
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
    untold = await damage_each_page(tmp_path / "store.db", healthy, damage, seed=1)
    assert untold == [] or damage in MAY_MEAN_NOTHING


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 60))
@pytest.mark.parametrize("damage", [DAMAGE[name] for name in ("noise", "bits", "bits of the head")])
async def test_every_call_says_what_is_wrong_however_the_page_is_damaged(
    tmp_path: Path, healthy: bytes, damage: Damage, seed: int
) -> None:
    await damage_each_page(tmp_path / "store.db", healthy, damage, seed)


async def test_swapped_pages_are_noticed(tmp_path: Path, healthy: bytes) -> None:
    path = tmp_path / "store.db"
    pages = [healthy[start : start + PAGE] for start in range(0, len(healthy), PAGE)]
    for first in range(1, len(pages) - 1):
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
