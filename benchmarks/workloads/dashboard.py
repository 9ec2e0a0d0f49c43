"""What a dashboard asks of a large store."""

import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_dashboard import (
    DAY_MS,
    ERRORS,
    FULL,
    LONG,
    SHOWN,
    Filling,
    TreadleShown,
    entry_id,
    owner_of,
    thread_id,
)
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.workloads.base import Task, Workload, opened, settle, title_of
from treadle.core.entry_groups import GROUPS
from treadle.queries import (
    CountGroups,
    ExplainEntry,
    ListCollections,
    ListConsumers,
    ListDocuments,
    ListErrors,
    ListHeads,
    ListMessages,
    ListSummaries,
    LoadHead,
    Query,
    ReportEntries,
    SearchEntries,
    SearchRuns,
    SumUsage,
)

PAGE = 50


class Case(NamedTuple):
    """Something that a page shows, and the query that reads it."""

    name: str
    query: Query[Any]


def work(sizes: Sizes) -> str:
    """Describe the work."""
    threads, entries = sizes.shown
    return (
        f"what the pages of a dashboard read, {sizes.looks} times each, from a store with "
        f"{threads:,} threads, {threads:,} runs and {entries:,} entries, of which a few mailboxes "
        "have a hundredth each"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("median", "median, ms", "{:,.1f}"),
        Column("most", "most, ms", "{:,.1f}"),
        Column("cpu", "CPU here, ms", "{:,.1f}"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    folder = Path(task.folder) / "store"
    async with opened(cast("type[TreadleShown]", kind), folder, task.store) as subject:
        filling = Filling(task.sizes)
        await filling.fill(subject.opened)
        settle(subject, task.sizes)
        durability = subject.durability()
        who = title_of(kind, task)
        return [
            Row(
                who=f"{who}: {case.name}",
                durability=durability,
                figures=await _figures(subject.opened, case, task.sizes.looks),
            )
            for case in _cases(filling)
        ]


async def _figures(store: treadle.Store, case: Case, times: int) -> dict[str, float]:
    await store.read(case.query)  # the pages of the database that it needs are in memory
    taken: list[float] = []
    used = _cpu()
    for _ in range(times):
        start = time.perf_counter()
        await store.read(case.query)
        taken.append((time.perf_counter() - start) * 1e3)
    return {
        "median": statistics.median(taken),
        "most": max(taken),
        "cpu": (_cpu() - used) * 1e3 / times,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cases(filling: Filling) -> Iterator[Case]:
    yield from _thread_cases()
    for mailbox_id in (None, *FULL):
        yield from _entry_cases(mailbox_id)
    yield from _other_entry_cases()
    yield from _run_cases(filling)
    yield Case("collections", ListCollections(limit=PAGE))
    yield Case("documents", ListDocuments(collection="collection1", limit=PAGE))


def _thread_cases() -> Iterator[Case]:
    yield Case("threads by id", ListHeads(limit=PAGE))
    yield Case("threads by age", ListHeads(by="created_at", order="desc", limit=PAGE))
    newest = ListHeads(by="updated_at", order="desc", limit=PAGE)
    yield Case("threads", newest)
    yield Case("threads of an owner", replace(newest, resource_id=owner_of(0)))
    yield Case("threads of a parent", replace(newest, parent_thread_id=thread_id(9)))
    yield Case("threads without a parent", replace(newest, roots=True))
    yield Case("a thread's head", LoadHead(thread_id=LONG))
    yield Case("a thread's messages", ListMessages(thread_id=LONG, order="desc", limit=PAGE))


def _entry_cases(mailbox_id: str | None) -> Iterator[Case]:
    of = "" if mailbox_id is None else f" of {mailbox_id}"
    for group in GROUPS:
        search = SearchEntries(
            by="available_at" if group in ("due", "scheduled", "retrying") else "created_at",
            group=group,
            mailbox_id=mailbox_id,
            limit=PAGE,
        )
        yield Case(f"entries{of}, {group}", search)
    for error in (ERRORS[0], "no such error"):
        search = SearchEntries(group="dead", error=error, mailbox_id=mailbox_id, limit=PAGE)
        yield Case(f"entries{of}, dead, {error[:12]!r}", search)
    yield Case(f"entries{of}", SearchEntries(mailbox_id=mailbox_id, limit=PAGE))
    yield Case(f"counts{of}", CountGroups(mailbox_id=mailbox_id))
    yield Case(f"errors{of}", ListErrors(mailbox_id=mailbox_id))
    yield Case(f"report{of}", ReportEntries(mailbox_id=mailbox_id))


def _other_entry_cases() -> Iterator[Case]:
    yield Case("entries of a worker", SearchEntries(claimed_by="worker7", limit=PAGE))
    yield Case("why an entry does not run", ExplainEntry(entry_id=entry_id(70)))
    yield Case("workers", ListConsumers())
    newest = ListSummaries(by="updated_at", order="desc", limit=PAGE)
    yield Case("mailboxes", newest)
    yield Case("mailboxes, the full ones", ListSummaries(limit=PAGE))


def _run_cases(filling: Filling) -> Iterator[Case]:
    newest = SearchRuns(limit=PAGE)
    yield Case("runs", newest)
    yield Case("runs, active", replace(newest, statuses=("running", "waiting")))
    yield Case("runs of an owner", replace(newest, resource_id=owner_of(0)))
    yield Case("runs of an agent", replace(newest, agent_id="agent3"))
    yield Case("runs of a thread", replace(newest, thread_id=thread_id(5)))
    yield Case("runs of a parent", replace(newest, parent_run_id="r0000003"))
    for days in (1, 30):
        used = SumUsage(by="day", since=filling.now - days * DAY_MS)
        for by in ("owner", "agent", "day"):
            yield Case(f"usage of {days} days by {by}", replace(used, by=by))


WORKLOAD = Workload(
    name="dashboard",
    about="what the pages of a dashboard read from a store with a million entries",
    work=work,
    columns=columns,
    subjects=tuple(SHOWN),
    measure=measure,
)
