"""Limits: the numbers that bound what a store accepts."""

import pytest

from treadle.core.limits import (
    DEPTH,
    ID_BYTES,
    LARGEST_INTEGER,
    LARGEST_TIME,
    PAGE,
    PRIORITY,
    SMALLEST_INTEGER,
    clamp_page,
    later,
)


@pytest.mark.parametrize(
    ("asked", "given"),
    [(-5, 1), (0, 1), (1, 1), (2, 2), (199, 199), (200, 200), (201, 200), (10**9, 200)],
)
def test_a_page_has_1_to_200_items(asked: int, given: int) -> None:
    assert clamp_page(asked) == given


def test_nothing_is_later_than_the_largest_time() -> None:
    assert later(5, 7) == 12
    assert later(LARGEST_TIME - 7, 7) == later(LARGEST_TIME - 6, 7) == LARGEST_TIME


def test_the_limits_are_those_of_the_design() -> None:
    assert (ID_BYTES, PAGE, PRIORITY) == (200, 200, 255)
    assert SMALLEST_INTEGER == -9_223_372_036_854_775_808
    assert LARGEST_INTEGER == 18_446_744_073_709_551_615
    assert LARGEST_TIME == 9_223_372_036_854_775_807


def test_a_document_of_the_greatest_depth_stays_readable_for_the_reference() -> None:
    assert DEPTH + 20 < 128
