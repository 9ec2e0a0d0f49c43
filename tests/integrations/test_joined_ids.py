"""Ids that are made of the ids of another program are ids of a store, whatever those are."""

from itertools import combinations

import pytest

from treadle.core.ids import is_id
from treadle.integrations._ids import joined_id

TEXTS = ("", "a", "a.b", "x" * 140, "x" * 141, "日本語" * 22, "\ud800", "con", "~", "a/b\n")


@pytest.mark.parametrize("first", TEXTS, ids=map(ascii, TEXTS))
def test_any_texts_give_an_id(first: str) -> None:
    for second in (*TEXTS, "y" * 300):
        assert is_id(joined_id(first, second))


def test_different_texts_give_different_ids() -> None:
    found = [joined_id(one, other) for one in TEXTS for other in TEXTS]
    assert all(one != other for one, other in combinations(found, 2))
    assert joined_id("a", "b") == "a.b"
