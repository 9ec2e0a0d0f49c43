from hypothesis import given
from hypothesis import strategies as st

from treadle.core.pages import PageQuery, page_of
from treadle.core.threads import ThreadPage


@given(st.integers(0, 12), st.integers(-3, 14), st.integers(-1, 6))
def test_a_page_is_a_slice_that_knows_the_total(count: int, offset: int, limit: int) -> None:
    ids = [f"t{number:02}" for number in range(count)]
    page = page_of(ThreadPage, ids, PageQuery(offset=offset, limit=limit))
    start, end = max(offset, 0), max(offset, 0) + max(limit, 1)
    assert page.items == tuple(ids[start:end])
    assert page.total == count
    assert page.has_more is (end < count)
