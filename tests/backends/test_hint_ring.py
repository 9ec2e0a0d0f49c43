"""The ring of hints in a file: what a reader cannot trust is "anything", and never an error."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import pytest

from treadle import Hint
from treadle.backends import _hint_ring
from treadle.backends._hint_ring import HintRing
from treadle.backends._hints import MOST_HINTS
from treadle.core.hints import ANYTHING

BEGIN = b"a position, which the owner of the file writes"


def thread(number: int) -> Hint:
    return Hint(kind="thread", id=f"t{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def file(path: Path) -> Iterator[int]:
    path.write_bytes(BEGIN)
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ring(path: Path, file: int) -> HintRing:
    return HintRing(str(path), file, Lock())


def test_a_reader_gets_the_hints_since_its_position(ring: HintRing) -> None:
    assert ring.since(0) == (0, set())
    ring.append([thread(1), ANYTHING, Hint(kind="mailbox", id="bôx")])
    end, hints = ring.since(0)
    assert hints == {thread(1), ANYTHING, Hint(kind="mailbox", id="bôx")}
    ring.append([thread(2)])
    ring.append([thread(3)])
    assert ring.since(end) == (ring.end(), {thread(2), thread(3)})
    assert ring.since(ring.end()) == (ring.end(), set())


def test_the_beginning_of_the_file_stays(ring: HintRing, file: int) -> None:
    ring.append([thread(1)])
    assert os.pread(file, len(BEGIN), 0) == BEGIN


def test_the_ring_comes_round(ring: HintRing, file: int) -> None:
    position = 0
    for number in range(10_000):
        ring.append([thread(number)])
        position, hints = ring.since(position)
        assert hints == {thread(number)}
    assert position > 2 * _hint_ring._CAPACITY
    assert os.fstat(file).st_size <= _hint_ring._START + 8 + _hint_ring._CAPACITY


def test_a_reader_that_is_too_late_gets_anything(ring: HintRing) -> None:
    for number in range(10_000):
        ring.append([thread(number)])
    assert ring.since(0) == (ring.end(), {ANYTHING})


def test_too_many_hints_are_anything(ring: HintRing) -> None:
    ring.append([thread(number) for number in range(MOST_HINTS + 1)])
    assert ring.since(0)[1] == {ANYTHING}
    end = ring.end()
    ring.append([Hint(kind="thread", id=f"{number:0200}") for number in range(MOST_HINTS)])
    assert ring.since(end)[1] == {ANYTHING}


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_damage_is_anything_and_ends_with_the_next_hints(
    ring: HintRing, file: int, place: int
) -> None:
    ring.append([thread(1)])
    ring.append([thread(2)])
    at = _hint_ring._START + place
    byte = os.pread(file, 1, at)
    if byte:
        os.pwrite(file, bytes([byte[0] ^ 0xFF]), at)
    end, hints = ring.since(0)
    assert hints in ({ANYTHING}, {thread(1), thread(2)})
    ring.append([thread(3)])
    assert ring.since(end)[1] & {ANYTHING, thread(3)}
    end = ring.end()
    ring.append([thread(4)])
    assert ring.since(end)[1] == {thread(4)}


def test_a_file_that_was_emptied_is_anything_once(ring: HintRing, file: int) -> None:
    ring.append([thread(1)])
    position = ring.end()
    os.ftruncate(file, 0)
    end, hints = ring.since(position)
    assert (end, hints) == (0, {ANYTHING})
    ring.append([thread(2)])
    assert ring.since(end)[1] == {thread(2)}


@pytest.mark.parametrize("payload", [b"{", b"[[1, 2]]", b'[["thread", "\xff"]]', b"[" * 10_000])
def test_a_record_that_has_no_hints_is_anything(ring: HintRing, payload: bytes) -> None:
    ring._ring.append(payload)  # pyright: ignore[reportPrivateUsage] - as another program could
    assert ring.since(0) == (ring.end(), {ANYTHING})
