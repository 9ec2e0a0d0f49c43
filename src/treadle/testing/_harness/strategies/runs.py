"""Commands about a run alone, by its id."""

from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from treadle.core.commands import AnyCommand
from treadle.core.run_commands import CheckRun, CountTokens, DeleteRun, EndWait
from treadle.core.superseded_runs import SupersedeRuns
from treadle.testing._harness.strategies.times import KEPT, nows

run_ids = st.sampled_from(["r0", "r1", "r2"])
thread_ids = st.sampled_from(["t0", "t1", "t.2"])
texts = st.sampled_from(["", "hi", "\x00\x7f\u2028", "é🧵", '"<extra>"'])
_counts = st.integers(0, 9)


@lru_cache(KEPT)
def seldom(now: int) -> tuple[st.SearchStrategy[AnyCommand], ...]:
    """What ends runs, counts their tokens, checks and deletes them."""
    at: dict[str, Any] = {"now": nows(now)}
    return (
        st.builds(
            EndWait,
            **at,
            run_id=run_ids,
            status=st.sampled_from(["running", "done"]),
            termination_code=st.none() | texts,
            termination_detail=st.none() | texts,
            answered_by=st.none() | texts,
        ),
        st.builds(
            CountTokens,
            **at,
            run_id=run_ids,
            input_tokens=_counts,
            output_tokens=_counts,
            ends_run=st.booleans(),
            merged_into=st.none() | run_ids,
        ),
        st.builds(DeleteRun, run_id=run_ids),
        st.builds(CheckRun, run_id=run_ids, thread_id=thread_ids),
        st.builds(
            SupersedeRuns,
            **at,
            thread_id=st.sampled_from(["t0", "t1", "m0"]),
            start=st.integers(0, 2),
            reason=texts,
            keeps=st.sampled_from([(), ("r0",)]),
        ),
    )
