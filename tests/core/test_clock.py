"""Time and ids: unix milliseconds, UUIDv7 in order, tokens nobody can guess."""

import time
import uuid
from itertools import pairwise

import pytest

from weft.core import clock


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


def test_ids_made_later_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(1_700_000_000_000, 1_700_000_000_500))
    monkeypatch.setattr(clock, "system_clock", lambda: next(times))
    made = [clock.new_id() for _ in range(500)]
    assert all(earlier < later for earlier, later in pairwise(made))


def test_ids_of_one_millisecond_differ_in_all_their_random_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1)
    made = [uuid.UUID(clock.new_id()).int for _ in range(300)]
    assert len(set(made)) == 300
    ever_set, always_set = 0, -1
    for value in made:
        ever_set, always_set = ever_set | value, always_set & value
    random_bits = ever_set ^ (always_set & ever_set)
    assert random_bits == (0xFFF << 64) | 0x3FFF_FFFF_FFFF_FFFF


def test_a_token_is_a_random_uuid() -> None:
    made = {clock.new_token() for _ in range(200)}
    assert len(made) == 200
    assert {uuid.UUID(token).version for token in made} == {4}
