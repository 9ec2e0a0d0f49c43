"""The pages of the dashboard, of a large store."""

import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import treadle.http
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_dashboard import (
    ERRORS,
    FULL,
    LONG,
    SHOWN,
    Filling,
    TreadleShown,
    entry_id,
    owner_of,
    run_id,
    thread_id,
)
from benchmarks.progress import report_of_child
from benchmarks.requests import request
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of
from treadle.core.entry_groups import GROUPS


def work(sizes: Sizes) -> str:
    """Describe the work."""
    threads, entries = sizes.shown
    return (
        f"{sizes.looks} requests for each page, in process, to the dashboard of a store with "
        f"{threads:,} threads, {threads:,} runs and {entries:,} entries; a few mailboxes have a "
        "hundredth of these each"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("median", "median, ms", "{:,.1f}"),
        Column("most", "most, ms", "{:,.1f}"),
        Column("cpu", "CPU here, ms", "{:,.1f}"),
        Column("kilobytes", "kB", "{:,.0f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    folder = Path(task.folder) / "store"
    async with opened(cast("type[TreadleShown]", kind), folder, task.store) as subject:
        await Filling(task.sizes).fill(subject.opened)
        settle(subject, task.sizes)
        app = treadle.http.dashboard(
            subject.opened, authenticate=treadle.http.everyone(treadle.http.admin("bench"))
        )
        durability = subject.durability()
        who = title_of(kind, task)
        rows: list[Row] = []
        for page in pages():
            report_of_child(f"dashboard: {page}")
            figures = await figures_of(app, page, task.sizes.looks)
            rows.append(Row(who=f"{who}: {page}", durability=durability, figures=figures))
        return rows


async def figures_of(app: Any, page: str, times: int) -> dict[str, float]:
    """Ask for a page, again and again."""
    path, _, query = page.partition("?")
    shown = await request(app, "GET", path, query)  # what it needs is in memory from now on
    taken: list[float] = []
    used = _cpu()
    for _ in range(times):
        start = time.perf_counter()
        await request(app, "GET", path, query)
        taken.append((time.perf_counter() - start) * 1e3)
    return {
        "median": statistics.median(taken),
        "most": max(taken),
        "cpu": (_cpu() - used) * 1e3 / times,
        "kilobytes": len(shown) / 1e3,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def pages() -> Iterator[str]:
    """Yield the paths and queries of the pages."""
    yield "/"
    yield from _thread_pages()
    yield "/mailboxes"
    yield _page("/mailboxes", by="id")  # begins with the full ones
    yield from _entry_pages()
    yield from _run_pages()
    yield "/documents"
    yield "/documents/collection1"
    yield "/workers"
    yield _page("/search", q="nothing")


def _thread_pages() -> Iterator[str]:
    yield "/threads"
    yield _page("/threads", resource_id=owner_of(0))
    yield _page("/threads", parent_thread_id=thread_id(9))
    yield _page("/threads", roots="true")
    yield _page("/threads", prefix="t00001")
    for tab in ("", "/state", "/runs", "/mailbox", "/deltas", "/raw"):
        yield f"/threads/{LONG}{tab}"


def _entry_pages() -> Iterator[str]:
    for group in GROUPS:
        yield _page("/entries", tab=group)
        for mailbox_id in FULL:
            yield _page("/entries", tab=group, mailbox_id=mailbox_id)
    yield _page("/entries", tab="dead", error=ERRORS[0])
    yield _page("/entries", tab="dead", error="no such error")
    yield _page("/entries", tab="claimed", claimed_by="worker7")
    yield _page("/entries", tab="ended", since="1d")
    yield f"/entries/{entry_id(70)}"
    for mailbox_id in FULL:
        yield f"/mailboxes/{mailbox_id}"


def _run_pages() -> Iterator[str]:
    yield "/runs"
    yield _page("/runs", status="running")
    yield _page("/runs", resource_id=owner_of(0))
    yield _page("/runs", agent_id="agent3")
    yield _page("/runs", agent_id="nobody")
    yield f"/runs/{run_id(4)}"
    for by in ("day", "owner", "agent", "thread"):
        yield _page("/usage", by=by, days="30")
    yield _page("/usage", days="366")
    yield _page("/usage", resource_id=owner_of(1))


def _page(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"


WORKLOAD = Workload(
    name="dashboard",
    about="the pages of the dashboard, of a store with a million entries",
    work=work,
    columns=columns,
    subjects=SHOWN,
    measure=measure,
)
