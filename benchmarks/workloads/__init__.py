"""The workloads: the same work, timing and figures for all subjects."""

from benchmarks.workloads import (
    adapters_adk,
    adapters_langgraph,
    adapters_openai,
    dashboard,
    documents,
    edits,
    files,
    flatness,
    heads,
    hints,
    http,
    latency,
    many_callers,
    memory,
    one_caller,
    pages,
    postgres_appends,
    postgres_depth,
    postgres_drain,
    postgres_tables,
    queue,
    storage,
    streams,
    worker,
)
from benchmarks.workloads.base import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        one_caller.WORKLOAD,
        many_callers.WORKLOAD,
        pages.WORKLOAD,
        queue.WORKLOAD,
        worker.WORKLOAD,
        flatness.WORKLOAD,
        files.WORKLOAD,
        heads.WORKLOAD,
        edits.WORKLOAD,
        hints.WORKLOAD,
        http.WORKLOAD,
        streams.WORKLOAD,
        dashboard.WORKLOAD,
        latency.WORKLOAD,
        documents.WORKLOAD,
        adapters_langgraph.WORKLOAD,
        adapters_adk.WORKLOAD,
        adapters_openai.WORKLOAD,
        postgres_drain.WORKLOAD,
        postgres_depth.WORKLOAD,
        postgres_appends.WORKLOAD,
        postgres_tables.WORKLOAD,
        memory.WORKLOAD,
        storage.WORKLOAD,
    )
}

BY_NAME_ONLY = (dashboard.WORKLOAD.name, streams.WORKLOAD.name)
"""What is measured only if a run names it: the dashboard's store takes many minutes to fill, and
streams are watched for minutes."""
USUAL = [name for name in WORKLOADS if name not in BY_NAME_ONLY]
"""What a run measures that names no part."""

__all__ = ["BY_NAME_ONLY", "USUAL", "WORKLOADS", "Workload"]
