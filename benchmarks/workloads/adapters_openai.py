"""Sessions of the OpenAI Agents SDK: one caller, and many at a time, append items."""

from benchmarks.peers.openai_agents import OpenAiSessions, TreadleOpenAiSessions
from benchmarks.sizes import Sizes
from benchmarks.workloads import adapters_adk
from benchmarks.workloads.base import Workload


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.reads:,} durable items of 1 KB in one session of the OpenAI Agents SDK, one by "
        f"one; {sizes.callers} callers at a time, {sizes.appends_each_slow} items each, in "
        f"sessions of their own; and reading the last {sizes.page} items of the first session"
    )


WORKLOAD = Workload(
    name="adapters-openai",
    about="sessions of the OpenAI Agents SDK, and ours: one caller, many callers",
    work=work,
    columns=adapters_adk.columns,
    subjects=[TreadleOpenAiSessions, OpenAiSessions],
    measure=adapters_adk.measure,
)
