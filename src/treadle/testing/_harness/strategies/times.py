"""Times about the present.

Strategies that depend on the present only are kept: hypothesis checks each new one in full, which
takes longer than to draw from it.
"""

from functools import lru_cache

from hypothesis import strategies as st

KEPT = 64
"""For how many times strategies are kept."""


@lru_cache(KEPT)
def times(now: int) -> st.SearchStrategy[int]:
    """Times about `now`."""
    return st.sampled_from([now, now - 1, now + 1, now - 1_000, now + 1_000, now + 40_000, 0])


@lru_cache(KEPT)
def nows(now: int) -> st.SearchStrategy[int | None]:
    """What a call gives as `now`: mostly nothing."""
    return st.none() | st.none() | st.none() | times(now)
