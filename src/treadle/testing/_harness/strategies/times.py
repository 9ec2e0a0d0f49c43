"""Times about the present."""

from hypothesis import strategies as st


def times(now: int) -> st.SearchStrategy[int]:
    """Times about `now`."""
    return st.sampled_from([now, now - 1, now + 1, now - 1_000, now + 1_000, now + 40_000, 0])


def nows(now: int) -> st.SearchStrategy[int | None]:
    """What a call gives as `now`: mostly nothing."""
    return st.none() | st.none() | st.none() | times(now)
