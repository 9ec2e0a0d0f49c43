"""Time and ids: unix milliseconds, UUIDv7 in order, tokens nobody can guess."""

import os
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise

import pytest

from treadle import clock


def test_the_system_clock_shows_unix_milliseconds() -> None:
    before = int(time.time() * 1000)
    now = clock.system_clock()
    assert before <= now <= int(time.time() * 1000) + 1


def test_a_new_id_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(clock.new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_a_new_id_carries_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 0x0123_4567_89AB)
    assert clock.new_id().startswith("01234567-89ab-7")


@pytest.fixture(autouse=True)
def first_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test makes its first id; the clocks of others are of no account."""
    monkeypatch.setattr(clock, "_last", (0, 0))


CLOCKS: dict[str, Callable[[int], int]] = {
    "runs": lambda tick: 1_700_000_000_000 + tick,
    "stands still": lambda tick: 1_700_000_000_000,
    "goes back": lambda tick: 1_700_000_000_000 - tick,
    "jumps": lambda tick: 1_700_000_000_000 + (tick * 7919) % 101,
}


@pytest.mark.parametrize("clock_of", CLOCKS.values(), ids=CLOCKS)
def test_an_id_sorts_after_those_before_it(
    monkeypatch: pytest.MonkeyPatch, clock_of: Callable[[int], int]
) -> None:
    ticks = count()
    monkeypatch.setattr(clock, "system_clock", lambda: clock_of(next(ticks)))
    made = [clock.new_id() for _ in range(5_000)]
    assert all(earlier < later for earlier, later in pairwise(made))
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in made} == {
        (7, uuid.RFC_4122)
    }


def test_the_first_id_of_a_millisecond_differs_in_all_its_random_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1)
    made: list[int] = []
    for _ in range(300):
        monkeypatch.setattr(clock, "_last", (0, 0))
        made.append(uuid.UUID(clock.new_id()).int)
    ever_set, always_set = 0, -1
    for value in made:
        ever_set, always_set = ever_set | value, always_set & value
    random_bits = ever_set ^ (always_set & ever_set)
    assert random_bits == (0x7FF << 64) | 0x3FFF_FFFF_FFFF_FFFF


def test_processes_that_were_forked_go_on_with_ids_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1)
    clock.new_id()
    copied, made = clock._last, set()
    for _ in range(300):
        monkeypatch.setattr(clock, "_last", copied)
        made.add(clock.new_id())
    assert len(made) == 300


def test_a_token_is_a_random_uuid() -> None:
    made = {clock.new_token() for _ in range(200)}
    assert len(made) == 200
    assert {uuid.UUID(token).version for token in made} == {4}


def test_when_a_millisecond_is_full_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1)
    monkeypatch.setattr(clock, "_last", (7, 2**74 - 1))
    made = [clock.new_id() for _ in range(3)]
    assert made == sorted(made)
    assert made[0].startswith("00000000-0008-7")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_draws_other_tokens() -> None:
    clock.new_token()  # the next ones are drawn as well
    output, input_ = os.pipe()
    child = os.fork()
    if not child:
        os.write(input_, clock.new_token().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(output, 36).decode() != clock.new_token()
    os.close(output)
    os.close(input_)


def test_threads_draw_different_tokens() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [each.result() for each in [threads.submit(clock.new_token) for _ in range(4_000)]]
    assert len(set(made)) == 4_000


def test_a_seed_repeats_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1)
    made: set[str] = set()
    for _ in range(10):
        random.seed(0)
        monkeypatch.setattr(clock, "_last", (0, 0))
        made |= {clock.new_id(), clock.new_id()}
    assert len(made) == 20
